// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package embed

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// marker ends every line that is inserted.
const marker = "rebound embed"

// mentions are what only an inserted line, or somebody who embeds by hand, has.
var mentions = []string{Module, controllersName + ".", resourcesName + ".", clusterCheck, diagnosticCheck + "("}

// strip returns a text without the lines that were inserted, which is what it was before. It refuses one that mentions
// rebound elsewhere: what somebody has written is for them to take out.
func strip(text []byte) ([]byte, error) {
	rest := make([]byte, 0, len(text))
	number := 0

	for line := range bytes.Lines(text) {
		number++

		if !isMarked(line) {
			for _, mention := range mentions {
				if bytes.Contains(line, []byte(mention)) {
					return nil, fmt.Errorf("line %d: rebound embed did not write this about rebound; take it out by hand", number)
				}
			}

			rest = append(rest, line...)
		} else if line[0] != '\t' && bytes.HasSuffix(rest, []byte("\n\n")) {
			rest = rest[:len(rest)-1] // the blank line that sets a statement of go.mod apart
		}
	}

	return rest, nil
}

// isMarked tells whether a line was inserted. The go command puts its own comment ahead of the marker.
func isMarked(line []byte) bool {
	text := strings.TrimRight(string(line), "\n")

	return strings.HasSuffix(text, "// "+marker) || strings.HasSuffix(text, "// indirect; "+marker)
}

// errNotExact is why a text with insertions is refused.
var errNotExact = errors.New("an edit could not be taken back byte for byte: other lines would change with it; is it formatted with gofmt, or go mod edit -fmt?")

// checkExact makes sure that insertions can be taken back.
func checkExact(original, inserted []byte) ([]byte, error) {
	restored, err := strip(inserted)
	if err == nil && !bytes.Equal(restored, original) {
		err = errNotExact
	}

	return inserted, err
}
