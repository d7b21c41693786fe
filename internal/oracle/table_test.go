package oracle

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
)

var rewrite = flag.Bool("rewrite", false, "write the table into docs/models.md")

const (
	document = "../../docs/models.md"
	begin    = "<!-- made by: go test ./internal/oracle -run TestTable -rewrite -->\n"
	end      = "<!-- end -->\n"
)

// TestTable: the table in docs/models.md says what is checked, and what is
// opened without being checked.
func TestTable(t *testing.T) {
	raw, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(raw), begin)
	old, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table", document)
	}
	table := coverage(t)
	if *rewrite {
		if err := os.WriteFile(document, []byte(before+begin+table+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if old != table {
		t.Errorf("the table in %s is not what is checked: go test ./internal/oracle -run TestTable -rewrite\n%s", document, table)
	}
}

// coverage lists, for each architecture, the quantisations in which a model of
// it is compared with llama.cpp, and those of its variants.
func coverage(t *testing.T) string {
	golden := load(t)
	checked := map[string][]string{} // architecture -> quantisations
	variants := map[string][]string{}
	for _, c := range Cases() {
		if _, ok := golden[c.As]; !ok {
			continue
		}
		arch, variant, _ := strings.Cut(c.Config.Family, "+")
		if variant != "" && !slices.Contains(variants[arch], variant) {
			variants[arch] = append(variants[arch], variant)
		}
		if !slices.Contains(checked[arch], c.Config.Quant) {
			checked[arch] = append(checked[arch], c.Config.Quant)
		}
	}
	var b strings.Builder
	b.WriteString("\n| architecture | quantisations compared with llama.cpp | variants compared too |\n|---|---|---|\n")
	for _, arch := range expert.Architectures() {
		if len(checked[arch]) == 0 {
			t.Errorf("architecture %s is opened and never compared", arch)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", arch, strings.Join(checked[arch], ", "), strings.Join(variants[arch], ", "))
	}
	b.WriteString("\n")
	return b.String()
}
