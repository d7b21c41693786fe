// Package demo embeds the model that every binary carries under the name
// "demo": Gopher MoE 15M-A6M, a very small trained Mixture-of-Experts model of
// Go source text. README.md beside this file says how it was made and what it
// can and cannot do; LICENSE.corpus is the licence of the text it learnt from.
package demo

import (
	_ "embed"
	"unsafe"
)

// Name is what the command line and the HTTP endpoint call the model.
const Name = "demo"

// FileName is the name its GGUF file would have on disk.
const FileName = "gopher-moe-15M-A6M-Q4_K_M.gguf"

// Embedded as a string: it stays in the binary's read-only pages, which the
// operating system maps and shares between processes like any GGUF file.
//
//go:embed gopher-moe-15M-A6M-Q4_K_M.gguf
var file string

//go:embed LICENSE.corpus
var license string

// GGUF returns the file's bytes. They are read-only memory: writing to them
// crashes the process.
func GGUF() []byte { return unsafe.Slice(unsafe.StringData(file), len(file)) }

// License returns the notice that has to travel with the weights.
func License() string { return license }
