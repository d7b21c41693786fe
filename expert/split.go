package expert

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"time"

	"github.com/moeswarm/moeswarm/internal/gguf"
)

// splitName is how llama.cpp names the parts of a model: the number of the
// part, from 1, and how many there are.
const splitName = `^(.*)-(\d{5})-of-(\d{5})\.gguf$`

// splitPaths lists the files of the model that a path belongs to, in order:
// the path alone when its name is not that of a part.
func splitPaths(path string) []string {
	m := regexp.MustCompile(splitName).FindStringSubmatch(path)
	if m == nil {
		return []string{path}
	}
	n, _ := strconv.Atoi(m[3])
	no, _ := strconv.Atoi(m[2])
	if n < 2 || n > gguf.MaxParts || no < 1 || no > n {
		return []string{path}
	}
	paths := make([]string, n)
	for i := range paths {
		paths[i] = fmt.Sprintf("%s-%05d-of-%05d.gguf", m[1], i+1, n)
	}
	return paths
}

// statModel gives the size of all files of a model together, and when the
// last of them was changed.
func statModel(path string) (size int64, changed time.Time, err error) {
	paths := splitPaths(path)
	for i, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			return 0, changed, missingPart(err, i, paths)
		}
		size += info.Size()
		if info.ModTime().After(changed) {
			changed = info.ModTime()
		}
	}
	return size, changed, nil
}

// missingPart says which part of a split model is not there.
func missingPart(err error, i int, paths []string) error {
	if len(paths) > 1 && errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("part %d of %d is missing: put %s beside the others (%w)", i+1, len(paths), whole(paths[i]), os.ErrNotExist)
	}
	return err
}

// mapModel maps the files of a model, in order.
func mapModel(path string) (data [][]byte, release func() error, err error) {
	var releases []func() error
	release = func() error {
		var errs []error
		for _, r := range releases {
			errs = append(errs, r())
		}
		return errors.Join(errs...)
	}
	paths := splitPaths(path)
	all, _, err := statModel(path)
	if err != nil {
		return nil, nil, err
	}
	for i, p := range paths {
		b, r, err := mapFile(p, all)
		if err != nil {
			return nil, nil, errors.Join(missingPart(err, i, paths), release())
		}
		releases, data = append(releases, r), append(data, b)
	}
	return data, release, nil
}

// parseModel reads the table of contents of a model's files.
func parseModel(data [][]byte) (*gguf.File, error) {
	parts := make([]*gguf.File, len(data))
	for i, b := range data {
		var err error
		if parts[i], err = gguf.Parse(bytes.NewReader(b), int64(len(b))); err != nil && len(data) > 1 {
			return nil, fmt.Errorf("part %d of %d: %w", i+1, len(data), err)
		} else if err != nil {
			return nil, err
		}
	}
	n, err := parts[0].Parts()
	if err != nil {
		return nil, err
	}
	if len(data) == 1 && n > 1 {
		return nil, fmt.Errorf("the file is one of %d parts of a model: put all into one directory under the names that they were published with, NAME-00001-of-%05d.gguf and so on", n, n)
	}
	if len(data) == 1 {
		return parts[0], nil
	}
	return gguf.Join(parts)
}
