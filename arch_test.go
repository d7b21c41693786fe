// Package moeswarm holds tests of the module as a whole: which package may
// import which, and that each says what it is for.
package moeswarm

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/moeswarm/moeswarm/"

// arrows lists, for each package, the packages of this module it may import.
// cmd and bench see everything. A new arrow is a decision: write its reason
// into docs/design.md.
var arrows = map[string][]string{
	"expert":                {"internal/ggml", "internal/gguf", "internal/mapping", "internal/tree"},
	"expert/content":        {"expert", "internal/mapping", "internal/tree"},
	"expert/experttest":     {"expert"},
	"expert/synth":          {"expert", "internal/gguf"},
	"gating":                {"expert"},
	"gating/draft":          {},
	"gating/hot":            {"expert"},
	"gating/prompt":         {"expert"},
	"gating/chat":           {"gating/grammar", "gating/prompt"},
	"gating/grammar":        {},
	"gating/trunk":          {"expert", "internal/ggml"},
	"gating/groups":         {},
	"gating/engine":         {"expert", "gating", "gating/draft", "gating/grammar", "gating/groups", "gating/prompt", "gating/trunk"},
	"routing":               {"expert"},
	"routing/audit":         {"expert", "routing"},
	"swarm":                 {"expert", "gating/prompt", "routing", "swarm/wire"},
	"swarm/wire":            {"expert", "gating/prompt"},
	"internal/account":      {},
	"internal/client":       {},
	"internal/demo":         {},
	"internal/doctor":       {},
	"internal/entry":        {"expert", "gating/prompt"},
	"internal/flags":        {},
	"internal/ggml":         {"internal/gguf"},
	"internal/gguf":         {},
	"internal/httpapi":      {"expert", "gating/prompt", "internal/reply"},
	"internal/keyfile":      {},
	"internal/localswarm":   {},
	"internal/mapping":      {},
	"internal/owner":        {},
	"internal/reply":        {"gating/prompt"},
	"internal/placement":    {},
	"internal/simswarm":     {"expert", "routing"},
	"internal/delayrelay":   {"internal/simswarm"},
	"internal/tokenizer":    {"internal/gguf"},
	"internal/ticket":       {},
	"internal/transfer":     {"expert", "expert/content", "internal/tree", "routing", "swarm/wire"},
	"internal/toll":         {"expert", "gating/prompt", "internal/ledger", "internal/ledger/transcript"},
	"internal/tree":         {},
	"internal/ledger":       {},
	"internal/ledger/state": {"internal/ledger"},
	"internal/ledger/mem":   {"internal/ledger", "internal/ledger/state"},
	"internal/ledger/pay":   {"internal/ledger"},
	// Around the ledger: who judges, counts and prices.
	"internal/ledger/jury":   {"internal/gguf", "internal/ledger", "internal/tree"},
	"internal/ledger/credit": {"internal/ledger"},
	"internal/ledger/teller": {"internal/ledger"},
	// It runs answers again, so it sees the engine's parts.
	"internal/ledger/court":      {"expert", "internal/ledger", "internal/ledger/jury"},
	"internal/ledger/transcript": {"expert", "gating", "gating/trunk", "internal/ggml", "internal/ledger"},
	"internal/economy":           {"internal/ledger"},
	// Its lazy holders meet the real auditors' rate.
	// The honest side of them is the node's own books.
	"internal/economy/attacks": {"expert", "gating/prompt", "internal/ledger", "internal/ledger/mem", "internal/ledger/pay", "internal/ledger/state", "internal/toll", "routing/audit"},

	"internal/ledger/light": {"internal/account", "internal/ledger"},
	// The composition: the one place besides cmd and bench where the engine
	// and the network meet.
	"internal/node": {"expert", "expert/content", "internal/transfer", "gating", "gating/chat", "gating/hot", "gating/engine", "gating/prompt", "gating/trunk", "internal/entry",
		"internal/account", "internal/ggml", "internal/gguf", "internal/httpapi", "internal/ledger", "internal/ledger/court", "internal/ledger/credit", "internal/ledger/jury", "internal/ledger/pay", "internal/ledger/transcript", "internal/owner", "internal/placement", "internal/tokenizer", "internal/toll", "internal/tree", "routing", "routing/audit", "swarm"},
	"internal/oracle":        {"expert", "expert/synth"},
	"internal/demo/demotest": {"expert", "internal/demo"},
}

// confined lists outside code that only some packages may see, and why.
var confined = []struct {
	prefix string
	only   []string
	why    string
}{
	{"github.com/libp2p/", []string{"swarm"}, "the network library is wrapped once"},
	{"github.com/multiformats/", []string{"swarm"}, "the network library is wrapped once"},
	{"C", []string{"internal/ggml"}, "cgo lives in one package, so that its source can be swapped"},
	{"github.com/ollama/ollama/ml", []string{"internal/ggml"}, "ggml lives in one package, so that its source can be swapped"},
	{"go.etcd.io/bbolt", []string{"internal/ledger/pay"}, "books of payment are files of one kind"},
	{"github.com/ardanlabs/jinja", []string{"gating/chat"}, "templates are strangers' programs and run in a process of their own"},
	{"github.com/ollama/ollama/tokenizer", []string{"internal/tokenizer"}, "hostile vocabularies are checked there first"},
}

// sources maps each package of the module to its files, without tests.
func sources(t *testing.T) map[string][]string {
	t.Helper()
	packages := map[string][]string{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && otherModule(path) {
			return filepath.SkipDir
		}
		if d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			dir := filepath.ToSlash(filepath.Dir(path))
			packages[dir] = append(packages[dir], path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return packages
}

// otherModule reports whether a folder is the root of a module of its own,
// which has its own rules.
func otherModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

func TestArrows(t *testing.T) {
	fset := token.NewFileSet()
	for pkg, files := range sources(t) {
		allowed, known := arrows[pkg]
		top := strings.HasPrefix(pkg, "cmd/") || pkg == "bench"
		if !known && !top {
			t.Errorf("package %s is not in the table of arrows", pkg)
			continue
		}
		for _, file := range files {
			f, err := parser.ParseFile(fset, file, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, spec := range f.Imports {
				path := strings.Trim(spec.Path.Value, `"`)
				if own, ok := strings.CutPrefix(path, module); ok && !top && !slices.Contains(allowed, own) {
					t.Errorf("%s imports %s, which package %s may not", file, own, pkg)
				}
				for _, c := range confined {
					inside := path == c.prefix || (c.prefix != "C" && strings.HasPrefix(path, c.prefix))
					if inside && !slices.Contains(c.only, pkg) {
						t.Errorf("%s imports %s: %s (%s)", file, path, c.why, strings.Join(c.only, ", "))
					}
				}
			}
		}
	}
}

func TestPackagesSayWhatTheyAreFor(t *testing.T) {
	fset := token.NewFileSet()
	for pkg, files := range sources(t) {
		documented := false
		for _, file := range files {
			f, err := parser.ParseFile(fset, file, nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			text := f.Doc.Text()
			documented = documented || strings.HasPrefix(text, "Package "+f.Name.Name+" ") || (f.Name.Name == "main" && strings.HasPrefix(text, "Command "))
		}
		if !documented {
			t.Errorf("package %s has no doc comment that begins with its name", pkg)
		}
	}
}

// TestNoInit: nothing happens before main.
func TestNoInit(t *testing.T) {
	fset := token.NewFileSet()
	for _, files := range sources(t) {
		for _, file := range files {
			f, err := parser.ParseFile(fset, file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			if obj := f.Scope.Lookup("init"); obj != nil {
				t.Errorf("%s has an init function", file)
			}
		}
	}
}
