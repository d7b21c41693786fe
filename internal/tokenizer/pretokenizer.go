package tokenizer

import (
	"fmt"

	"github.com/dlclark/regexp2"
)

// pretokenizer cuts a text into pieces that BPE joins each by itself.
type pretokenizer struct {
	rules []*regexp2.Regexp // each cuts the pieces that the ones before it left
	// whole: a piece that is a token is that token, even where joining by
	// rank would not get there.
	whole bool
	// begins: a text begins with the begin-of-text token, unless metadata
	// says otherwise.
	begins bool
}

// The regular expressions, from the tokenizer.json files of the models as
// llama.cpp's llama-vocab.cpp quotes them. llama.cpp itself simplifies some:
// for tekken, gpt-4o and kimi-k2 it knows the case of ASCII letters only and no
// marks within words, and takes kimi-k2's "CamelCase" for one word; for
// deepseek-llm and deepseek-coder white space of ASCII only, and for
// deepseek-v3 it does not count "~" as a symbol; on these characters it cuts
// otherwise than the models were trained. The contractions are spelt out in
// both cases because a case-insensitive match would also take the long s for
// an s.
const (
	contractions = `'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]`

	gpt2Rule = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)`

	llama3Rule = `(?:` + contractions + `)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`

	qwen2Rule = `(?:` + contractions + `)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`

	seedRule = `(?:` + contractions + `)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+`

	bailingRule = `'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+`

	upper = `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`
	lower = `[\p{Ll}\p{Lm}\p{Lo}\p{M}]`

	tekkenRule = `[^\r\n\p{L}\p{N}]?` + upper + `*` + lower + `+|[^\r\n\p{L}\p{N}]?` + upper + `+` + lower + `*|\p{N}` +
		`| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`

	gpt4oRule = `[^\r\n\p{L}\p{N}]?` + upper + `*` + lower + `+(?:` + contractions + `)?|[^\r\n\p{L}\p{N}]?` + upper + `+` + lower + `*(?:` + contractions + `)?|\p{N}{1,3}` +
		`| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`

	// Han by itself; elsewhere as gpt-4o, with letters that are not Han.
	upperNoHan = `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}-[\p{Han}]]`
	lowerNoHan = `[\p{Ll}\p{Lm}\p{Lo}\p{M}-[\p{Han}]]`

	kimiRule = `\p{Han}+|[^\r\n\p{L}\p{N}]?` + upperNoHan + `*` + lowerNoHan + `+(?:` + contractions + `)?|[^\r\n\p{L}\p{N}]?` + upperNoHan + `+` + lowerNoHan + `*(?:` + contractions + `)?|\p{N}{1,3}` +
		`| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`

	deepseek3Rule = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+" +
		`|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`

	// Letters of the scripts that have case.
	deepseekLetters = "\\s?[" +
		"A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373\u0376" +
		"\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f" +
		"\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77" +
		"\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d" +
		"\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4" +
		"\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139" +
		"\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d" +
		"\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a" +
		"\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3\U000104d8-\U000104fb\U00010c80-\U00010cb2" +
		"\U00010cc0-\U00010cf2\U000118a0-\U000118df\U0001e900-\U0001e943" +
		"]+"
	deepseekMarks = `\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+`
	deepseekHan   = `[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+`
	// "\s+$" there. The look behind keeps a long run of spaces inside the
	// text from being tried again at each of its spaces.
	deepseekEnd = `(?<!\s)\s+\z`

	bloomRule = ` ?[^(\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+`
)

// newPretokenizer returns the pre-tokeniser that tokenizer.ggml.pre names.
func newPretokenizer(name string) (pretokenizer, error) {
	var p pretokenizer
	rules, err := preRules(name)
	if err != nil {
		return p, err
	}
	for _, r := range rules {
		// Not in RE2 mode: there \s is ASCII alone, here it is Unicode's
		// white space, as the expressions mean it.
		re, err := regexp2.Compile(r, regexp2.None)
		if err != nil {
			return p, fmt.Errorf("pre-tokeniser %s: %w", name, err)
		}
		p.rules = append(p.rules, re)
	}
	switch name {
	case "llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "tekken":
		p.whole, p.begins = true, true
	}
	return p, nil
}

func preRules(name string) ([]string, error) {
	switch name {
	case "qwen2", "deepseek-r1-qwen", "stablelm2", "hunyuan", "megrez", "kormo", "grok-2":
		return []string{qwen2Rule}, nil
	case "llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2",
		"dbrx", "smaug-bpe", "glm4", "chatglm-bpe":
		return []string{llama3Rule}, nil
	case "gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion", "exaone4", "gigachat", "a.x-4.0", "mellum", "granite-docling":
		return []string{gpt2Rule}, nil
	case "starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b":
		return []string{`\p{N}`, gpt2Rule}, nil
	case "", "default": // a file without the key is read so by llama.cpp too
		return []string{`[\p{P}\$\+<=>\^~\|]+`, gpt2Rule, `\p{N}+`, `[0-9][0-9][0-9]`}, nil
	case "falcon":
		return []string{"[\\p{P}\\$\\+<=>\\^~\\|`]+", gpt2Rule, `[0-9][0-9][0-9]`}, nil
	case "deepseek-v3", "hunyuan-dense":
		return []string{`\p{N}{1,3}`, `[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+`, deepseek3Rule}, nil
	case "deepseek-llm":
		return []string{`[\r\n]`, deepseekLetters, deepseekMarks, deepseekEnd, deepseekHan, `\p{N}+`}, nil
	case "deepseek-coder":
		return []string{`[\r\n]`, `\s?\p{L}+`, `\s?\p{P}+`, deepseekHan, `\p{N}`}, nil
	case "bailingmoe", "bailingmoe2", "llada-moe":
		return []string{bailingRule}, nil
	case "seed-coder":
		return []string{seedRule}, nil
	case "tekken":
		return []string{tekkenRule}, nil
	case "gpt-4o", "llama4", "minimax-m2":
		return []string{gpt4oRule}, nil
	case "kimi-k2":
		return []string{kimiRule}, nil
	case "poro-chat", "bloom", "gpt3-finnish":
		return []string{bloomRule}, nil
	case "viking":
		return []string{bloomRule, `\p{N}`}, nil
	}
	return nil, fmt.Errorf("pre-tokeniser %.40q is not known to this version: use a model of another family, or a newer version", name)
}

// cut cuts text, given as runes, and returns where each piece ends.
func (p pretokenizer) cut(text []rune) ([]int, error) {
	ends := []int{len(text)}
	for _, re := range p.rules {
		var next []int
		start := 0
		for _, end := range ends {
			var err error
			if next, err = cutPiece(re, text[start:end], start, next); err != nil {
				return nil, err
			}
			start = end
		}
		ends = next
	}
	return ends, nil
}

// cutPiece appends the ends of the matches in a piece, and of what lies
// between them, to ends. base is where the piece begins in the text.
func cutPiece(re *regexp2.Regexp, piece []rune, base int, ends []int) ([]int, error) {
	at := 0
	m, err := re.FindRunesMatch(piece)
	for m != nil && err == nil {
		if m.Index > at {
			ends = append(ends, base+m.Index)
		}
		at = m.Index + m.Length
		ends = append(ends, base+at)
		m, err = re.FindNextMatch(m)
	}
	if err != nil {
		return nil, fmt.Errorf("pre-tokeniser: %w", err)
	}
	if at < len(piece) {
		ends = append(ends, base+len(piece))
	}
	return ends, nil
}
