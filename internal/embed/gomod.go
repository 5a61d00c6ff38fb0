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

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
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

	if semver.Canonical(version) != version {
		return nil, fmt.Errorf("%q is not a version of rebound: it is not of the form v1.2.3", version)
	}

	if err := module.Check(Module, version); err != nil {
		return nil, fmt.Errorf("%q is not a version of rebound: %w", version, err)
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

// appendStatement adds a statement at the end, set apart by a blank line.
func appendStatement(text []byte, statement string) []byte {
	return slices.Concat(text, []byte("\n"+statement+"\n"))
}

// dropRebound returns go.mod without the statements that requireRebound adds. It refuses one in which rebound is
// mentioned in another way: what somebody has written is for them to take out.
func dropRebound(text []byte) ([]byte, error) {
	for {
		file, err := modfile.Parse(goModPath, text, nil)
		if err != nil {
			return nil, fmt.Errorf("failed to parse it: %w", err)
		}

		lines := linesOfRebound(file)
		if len(lines) == 0 {
			return text, nil
		}

		line := lines[0]
		if line.InBlock || len(line.Before)+len(line.Suffix)+len(line.After) > 0 {
			return nil, fmt.Errorf("line %d: rebound embed did not write this about rebound; take it out by hand", line.Start.Line)
		}

		text = cutLine(text, line)
	}
}

func linesOfRebound(file *modfile.File) []*modfile.Line {
	var lines []*modfile.Line

	for _, require := range file.Require {
		if require.Mod.Path == Module {
			lines = append(lines, require.Syntax)
		}
	}

	for _, replace := range file.Replace {
		if replace.Old.Path == Module {
			lines = append(lines, replace.Syntax)
		}
	}

	return lines
}

// cutLine cuts a line, and the blank one that sets it apart from what is before it.
func cutLine(text []byte, line *modfile.Line) []byte {
	start := bytes.LastIndexByte(text[:line.Start.Byte], '\n') + 1
	end := line.End.Byte + bytes.IndexByte(text[line.End.Byte:], '\n') + 1

	if bytes.HasSuffix(text[:start], []byte("\n\n")) {
		start--
	}

	return slices.Concat(text[:start], text[end:])
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
