// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package embed

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
)

const (
	goModPath = "go.mod"
	goSumPath = "go.sum"
)

// replacedVersion is what the go command itself requires of a module that is replaced by a folder.
const replacedVersion = "v0.0.0-00010101000000-000000000000"

// requireRebound returns go.mod with a requirement of rebound, and a replacement of it if there is a folder for it.
func requireRebound(text []byte, version, dir string) ([]byte, error) {
	if dir != "" {
		version = replacedVersion
	}

	if err := module.Check(Module, version); err != nil {
		return nil, fmt.Errorf("version %q of rebound: %w", version, err)
	}

	changed := appendStatement(text, fmt.Sprintf("require %s %s", Module, version))

	if dir != "" {
		changed = appendStatement(changed, fmt.Sprintf("replace %s => %s", Module, modfile.AutoQuote(filepath.ToSlash(dir))))
	}

	restored, err := dropRebound(changed)
	if err != nil {
		return nil, err
	}

	if !bytes.Equal(restored, text) {
		return nil, errors.New("it is laid out in a way in which an edit could not be taken back byte for byte")
	}

	return changed, nil
}

// appendStatement adds a statement at the end, set apart by a blank line. It adds a final line feed only to a text that
// has one, so that this can be taken back.
func appendStatement(text []byte, statement string) []byte {
	if bytes.HasSuffix(text, []byte("\n")) {
		return slices.Concat(text, []byte("\n"+statement+"\n"))
	}

	return slices.Concat(text, []byte("\n\n"+statement))
}

// dropRebound returns go.mod without any mention of rebound. It undoes requireRebound.
func dropRebound(text []byte) ([]byte, error) {
	for {
		file, err := modfile.Parse(goModPath, text, nil)
		if err != nil {
			return nil, fmt.Errorf("failed to parse it: %w", err)
		}

		line := lineOfRebound(file)
		if line == nil {
			return text, nil
		}

		text = cutLine(text, line)
	}
}

// dropSums returns go.sum without the checksums of rebound.
func dropSums(text []byte) ([]byte, error) {
	rest := []byte{} // nil would be a file that is not there

	for line := range bytes.Lines(text) {
		if !bytes.HasPrefix(line, []byte(Module+" ")) {
			rest = append(rest, line...)
		}
	}

	return rest, nil
}

// lineOfRebound is the last line about rebound; nil if there is none.
func lineOfRebound(file *modfile.File) *modfile.Line {
	var last *modfile.Line

	later := func(line *modfile.Line) {
		if last == nil || line.Start.Byte > last.Start.Byte {
			last = line
		}
	}

	for _, require := range file.Require {
		if require.Mod.Path == Module {
			later(require.Syntax)
		}
	}

	for _, replace := range file.Replace {
		if replace.Old.Path == Module {
			later(replace.Syntax)
		}
	}

	return last
}

func cutLine(text []byte, line *modfile.Line) []byte {
	start := bytes.LastIndexByte(text[:line.Start.Byte], '\n') + 1
	end := len(text)

	if i := bytes.IndexByte(text[line.End.Byte:], '\n'); i >= 0 {
		end = line.End.Byte + i + 1
	} else if start > 0 {
		start-- // the last line has none of its own
	}

	// A statement of its own was set apart.
	if !line.InBlock && strings.HasSuffix(string(text[:start]), "\n") {
		if before := text[:start-1]; bytes.HasSuffix(before, []byte("\n")) || len(before) == 0 || end == len(text) && text[end-1] != '\n' {
			start--
		}
	}

	return slices.Concat(text[:start], text[end:])
}
