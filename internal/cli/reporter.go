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
	"unicode/utf8"

	"golang.org/x/term"
)

// frames turn while something is waited for.
var frames = []string{"◰", "◳", "◲", "◱"}

// reporter prints one line per state, as talosctl does. On a terminal the last line is alive: it shows for how long it
// has been true, and the next one takes its place.
type reporter struct {
	w io.Writer
	// width is the number of columns; nil unless w is a terminal.
	width func() int

	mu      sync.Mutex
	line    string
	since   time.Time
	frame   int
	drawn   int // rows of the terminal that the live line takes
	stopped chan struct{}
	ended   sync.WaitGroup
}

// newReporter makes a reporter, which is to be closed.
func newReporter(w io.Writer) *reporter {
	if width := terminalWidth(w); width != nil {
		return newLiveReporter(w, width)
	}

	return &reporter{w: w, stopped: make(chan struct{})}
}

func newLiveReporter(w io.Writer, width func() int) *reporter {
	r := &reporter{w: w, width: width, stopped: make(chan struct{})}
	r.ended.Go(r.animate)

	return r
}

// terminalWidth returns nil if w is not a terminal that can redraw a line.
func terminalWidth(w io.Writer) func() int {
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) || os.Getenv("TERM") == "dumb" {
		return nil
	}

	return func() int {
		if width, _, err := term.GetSize(int(file.Fd())); err == nil && width > 0 {
			return width
		}

		return 80
	}
}

// update shows what is being waited for.
func (r *reporter) update(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()

	if line == r.line {
		return
	}

	r.line, r.since = line, time.Now()

	if r.width == nil {
		fmt.Fprintln(r.w, line)

		return
	}

	r.draw()
}

// finish prints a line that stays.
func (r *reporter) finish(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()

	r.erase()
	fmt.Fprintln(r.w, line)

	r.line = ""
}

// close leaves the last line as it is. It may be called more than once.
func (r *reporter) close() {
	r.mu.Lock()

	select {
	case <-r.stopped:
	default:
		close(r.stopped)
	}

	r.mu.Unlock()
	r.ended.Wait()
}

func (r *reporter) animate() {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()

	for {
		select {
		case <-r.stopped:
			return
		case <-ticker.C:
			r.mu.Lock()

			if r.line != "" {
				r.draw()
			}

			r.mu.Unlock()
		}
	}
}

func (r *reporter) draw() {
	r.erase()

	line := fmt.Sprintf("%s %s", frames[r.frame%len(frames)], r.line)
	if waited := time.Since(r.since).Truncate(time.Second); waited > 0 {
		line += fmt.Sprintf(" (%s)", waited)
	}

	fmt.Fprintln(r.w, line)

	r.frame++
	r.drawn = (utf8.RuneCountInString(line)-1)/r.width() + 1
}

// erase moves up over the live line and clears it.
func (r *reporter) erase() {
	fmt.Fprint(r.w, strings.Repeat("\x1b[A\x1b[K", r.drawn))

	r.drawn = 0
}
