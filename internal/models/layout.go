package models

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

const ggufSuffix = ".gguf"

func isGGUF(name string) bool { return strings.HasSuffix(strings.ToLower(name), ggufSuffix) }

// checkpointFiles are what a checkpoint consists of, apart from weights, licences and module folders.
var checkpointFiles = []string{
	"config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "merges.txt",
	"special_tokens_map.json", "added_tokens.json", "sentencepiece.bpe.model", "spiece.model", "tokenizer.model",
	"modules.json", "sentence_bert_config.json", "config_sentence_transformers.json", "generation_config.json",
	"model.safetensors.index.json", "README.md",
}

// wanted tells whether a file of a checkpoint, by its path within it, is to be installed: what describes
// the model, its tokenizer and its safetensors, and not the same weights for other programs.
func wanted(name string) bool {
	dir, base := path.Split(name)
	if dir == "" {
		return slices.Contains(checkpointFiles, base) || isLicence(base) || isWeights(base)
	}
	// Module folders of sentence-transformers: 1_Pooling/config.json, 2_Dense/model.safetensors.
	number, _, ok := strings.Cut(dir, "_")
	return ok && strings.Count(name, "/") == 1 && strings.Trim(number, "0123456789") == "" && number != "" &&
		(base == "config.json" || base == "model.safetensors")
}

// isWeights tells the safetensors of a whole model or of a part of one.
func isWeights(base string) bool {
	if !strings.HasSuffix(base, ".safetensors") {
		return false
	}
	rest, ok := strings.CutPrefix(strings.TrimSuffix(base, ".safetensors"), "model")
	return ok && (rest == "" || strings.HasPrefix(rest, "-") && strings.Contains(rest, "-of-"))
}

func isLicence(base string) bool {
	upper := strings.ToUpper(base)
	for _, p := range []string{"LICENSE", "LICENCE", "NOTICE", "COPYING"} {
		if upper == p || strings.HasPrefix(upper, p+".") || strings.HasPrefix(upper, p+"-") || strings.HasPrefix(upper, p+"_") {
			return true
		}
	}
	return false
}

// choose picks the files to install from those of a folder, archive or repository, by their slash paths.
// patterns, if any, name .gguf files, by path.Match on their base name or by a part of it.
func choose(files []string, patterns []string) ([]string, error) {
	var ggufs, others []string
	weights, config := false, false
	for _, f := range files {
		switch {
		case isGGUF(f):
			ggufs = append(ggufs, f)
		case wanted(f):
			others = append(others, f)
			weights = weights || !strings.Contains(f, "/") && isWeights(f)
			config = config || f == "config.json"
		}
	}
	if len(patterns) == 0 && weights && config {
		return others, nil
	}
	picked := slices.DeleteFunc(slices.Clone(ggufs), func(f string) bool { return !matches(f, patterns) })
	switch {
	case len(picked) == 0 && len(patterns) > 0:
		return nil, fmt.Errorf("%w: no .gguf file matches %s; there are: %s", ErrNoModel, strings.Join(patterns, ", "), orNothing(ggufs))
	case len(picked) == 0:
		return nil, fmt.Errorf("%w: want config.json with model.safetensors, or a .gguf file%s", ErrNoModel, otherWeights(files))
	}
	if !oneModel(picked) {
		return nil, fmt.Errorf("%w: there are several .gguf files; choose one with --file: %s", ErrNoModel, strings.Join(picked, ", "))
	}
	for _, f := range others { // what says whose it is
		if base := path.Base(f); f == base && (isLicence(base) || base == "README.md") {
			picked = append(picked, f)
		}
	}
	return picked, nil
}

func matches(file string, patterns []string) bool {
	base := path.Base(file)
	for _, p := range patterns {
		if ok, _ := path.Match(strings.ToLower(p), strings.ToLower(base)); ok || strings.Contains(strings.ToLower(base), strings.ToLower(p)) {
			return true
		}
	}
	return len(patterns) == 0
}

// oneModel tells whether the files are one, or the parts of one: name-00001-of-00003.gguf.
func oneModel(files []string) bool {
	stem := func(f string) string {
		if i := strings.LastIndex(f, "-of-"); i > 6 {
			return f[:i-6]
		}
		return f
	}
	for _, f := range files {
		if stem(f) != stem(files[0]) {
			return false
		}
	}
	return true
}

func orNothing(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// otherWeights says which weights there are in place of those that docent reads.
func otherWeights(files []string) string {
	for _, f := range slices.Sorted(slices.Values(files)) {
		if strings.HasSuffix(f, ".bin") || strings.HasSuffix(f, ".pt") {
			return "; there is only " + f + ", a pickle, which can run any program and is not read: look for a revision with safetensors"
		}
	}
	for _, f := range slices.Sorted(slices.Values(files)) {
		if strings.HasSuffix(f, ".onnx") {
			return "; there is only " + f + ", which docent does not read"
		}
	}
	return ""
}
