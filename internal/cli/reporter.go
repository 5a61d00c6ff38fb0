// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
	"golang.org/x/text/width"

	"github.com/talos-rebound/rebound/pkg/check"
)

// frames turn while something is waited for.
var frames = []string{"◰", "◳", "◲", "◱"}

// reporter prints one line per state, as talosctl does. On a terminal the last line is alive: it shows how long
// the wait has taken, and the next line replaces it.
type reporter struct {
	w io.Writer
	// size is the number of columns and rows; nil unless w is a terminal.
	size func() (int, int)

	mu    sync.Mutex
	line  string
	since time.Time
	frame int
	drawn int         // rows of the terminal that the live line takes
	timer *time.Timer // nil unless there is a live line
}

// newReporter makes a reporter. The caller has to close it.
func newReporter(w io.Writer) *reporter {
	if size := terminalSize(w); size != nil {
		return newLiveReporter(w, size)
	}

	return &reporter{w: w}
}

func newLiveReporter(w io.Writer, size func() (int, int)) *reporter {
	r := &reporter{w: w, size: size}

	r.mu.Lock()
	defer r.mu.Unlock()

	r.timer = time.AfterFunc(time.Second, r.tick)

	return r
}

// terminalSize returns nil if w is not a terminal that can redraw a line.
func terminalSize(w io.Writer) func() (int, int) {
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) || os.Getenv("TERM") == "dumb" {
		return nil
	}

	return func() (int, int) {
		if columns, rows, err := term.GetSize(int(file.Fd())); err == nil && columns > 0 && rows > 0 {
			return columns, rows
		}

		return 80, 24
	}
}

// Update shows what is being waited for.
func (r *reporter) Update(line string) {
	line = check.OneLine(line)

	r.mu.Lock()
	defer r.mu.Unlock()

	if line == r.line {
		return
	}

	r.line = line

	if r.since.IsZero() {
		r.since = time.Now()
	}

	if r.size == nil {
		fmt.Fprintln(r.w, line)

		return
	}

	r.draw()
}

// Show shows what is being waited for on a terminal, and nothing elsewhere: a file has no use for what changes all the time.
func (r *reporter) Show(line string) {
	if r.size != nil {
		r.Update(line)
	}
}

// Log prints a line that stays. What is being waited for is still shown below it.
func (r *reporter) Log(line string) {
	line = check.OneLine(line)

	r.mu.Lock()
	defer r.mu.Unlock()

	r.erase()
	fmt.Fprintln(r.w, line)

	if r.size != nil && r.line != "" {
		r.draw()
	}
}

// Finish prints a line that stays, and ends what was being waited for.
func (r *reporter) Finish(line string) {
	line = check.OneLine(line)

	r.mu.Lock()
	defer r.mu.Unlock()

	r.erase()
	fmt.Fprintln(r.w, line)

	r.line = ""
}

// Close leaves the last line as it is. It may be called more than once.
func (r *reporter) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()

	if r.timer != nil {
		r.timer.Stop()
	}

	r.timer = nil
}

// tick draws the live line again, every second.
func (r *reporter) tick() {
	r.mu.Lock()
	defer r.mu.Unlock()

	if r.timer == nil {
		return
	}

	if r.line != "" {
		r.draw()
	}

	r.timer.Reset(time.Second)
}

func (r *reporter) draw() {
	r.erase()

	columns, rows := r.size()
	suffix := ""

	if waited := time.Since(r.since).Truncate(time.Second); waited > 0 {
		suffix = fmt.Sprintf(" (%s)", waited)
	}

	// What has scrolled away cannot be erased any more.
	around := 2 + len(suffix) // a frame and a space before the line
	line, taken := fit(r.line, max(rows-2, 1)*columns-around)

	fmt.Fprintln(r.w, frames[r.frame%len(frames)]+" "+line+suffix)

	r.frame++
	r.drawn = (around+taken-1)/columns + 1
}

// erase moves up over the live line and clears it.
func (r *reporter) erase() {
	fmt.Fprint(r.w, strings.Repeat("\x1b[A\x1b[K", r.drawn))

	r.drawn = 0
}

// fit cuts a text that is wider than this many columns of a terminal. It also returns the width of the result.
func fit(text string, columns int) (string, int) {
	taken, cut, cutTaken := 0, 0, 0

	for i, r := range text {
		// Up to here there is room for an ellipsis.
		if taken < columns {
			cut, cutTaken = i, taken+1
		}

		taken++

		if kind := width.LookupRune(r).Kind(); kind == width.EastAsianWide || kind == width.EastAsianFullwidth {
			taken++
		}
	}

	if taken <= columns {
		return text, taken
	}

	return text[:cut] + "…", cutTaken
}
