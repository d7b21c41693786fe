package ggml

// extern int ggml_cpu_has_avx2(void);
// extern int ggml_cpu_has_fma(void);
// extern int ggml_cpu_has_f16c(void);
// extern int ggml_cpu_has_avx512(void);
// extern int ggml_cpu_has_avx512_vnni(void);
// extern int ggml_cpu_has_dotprod(void);
// extern int ggml_cpu_has_matmul_int8(void);
import "C"

import (
	"runtime"
	"strings"

	"golang.org/x/sys/cpu"
)

// Feature is one set of vector instructions.
type Feature struct {
	Name  string
	Built bool // the kernels of this build use it
	CPU   bool // this machine has it
	Vital bool // leaving it out costs a multiple of the time, not a part
}

// Features lists the instruction sets that decide the kernels' speed on this
// architecture.
func Features() []Feature {
	switch runtime.GOARCH {
	case "amd64":
		return []Feature{
			{"avx2", C.ggml_cpu_has_avx2() != 0, cpu.X86.HasAVX2, true},
			{"fma", C.ggml_cpu_has_fma() != 0, cpu.X86.HasFMA, true},
			{"avx512", C.ggml_cpu_has_avx512() != 0, cpu.X86.HasAVX512F, false},
			{"avx512_vnni", C.ggml_cpu_has_avx512_vnni() != 0, cpu.X86.HasAVX512VNNI, false},
		}
	case "arm64":
		return []Feature{
			{"dotprod", C.ggml_cpu_has_dotprod() != 0, cpu.ARM64.HasASIMDDP, true},
			{"i8mm", C.ggml_cpu_has_matmul_int8() != 0, cpu.ARM64.HasI8MM, false},
		}
	}
	return nil
}

// Advice looks at features and says what is wrong with this build for this
// machine. fatal is set when the kernels use instructions the machine lacks,
// so that computing would crash; slow when they leave out a vital one.
// Both are empty for a good build.
func Advice(features []Feature) (fatal, slow string) {
	const fix = `build with "make", or set CGO_CFLAGS and CGO_CXXFLAGS to "-O3 -march=native" before "go build"`
	var lacks, unused []string
	for _, f := range features {
		switch {
		case f.Built && !f.CPU:
			lacks = append(lacks, f.Name)
		case f.CPU && !f.Built && f.Vital:
			unused = append(unused, f.Name)
		}
	}
	if len(lacks) > 0 {
		fatal = "this build uses " + strings.Join(lacks, ", ") + ", which this CPU lacks; " + fix + " on this machine"
	}
	if len(unused) > 0 {
		slow = "this build does not use the CPU's " + strings.Join(unused, ", ") + " and computes up to 16 times slower than it could; " + fix
	}
	return fatal, slow
}
