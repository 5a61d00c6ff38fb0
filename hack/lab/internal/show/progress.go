// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package show

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// Progress tells what happens: a live line for each node on a terminal, plain
// lines elsewhere. What concerns different nodes may be told concurrently.
type Progress struct {
	*Log

	w     io.Writer
	live  *mpb.Progress
	lines map[string]*line
}

// line is what is known of one node.
type line struct {
	reboots int
	done    int
	bar     *mpb.Bar
	text    atomic.Pointer[string]
	since   atomic.Int64
}

// NewProgress writes to w about nodes that will be rebooted so often.
func NewProgress(w io.Writer, reboots int, nodes ...string) *Progress {
	p := &Progress{Log: NewLog(w), w: w, lines: map[string]*line{}}

	if file, ok := w.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		p.live = mpb.New(mpb.WithOutput(w))
		// What is said comes above the live lines.
		p.To(p.live)
	}

	for _, node := range nodes {
		p.lines[node] = &line{reboots: reboots}

		if p.live != nil {
			p.lines[node].show(p.live, node)
		}
	}

	return p
}

// show adds the line to a terminal.
func (l *line) show(live *mpb.Progress, node string) {
	l.say("")

	l.bar = live.New(int64(l.reboots), mpb.BarStyle().Lbound("").Rbound("").Filler("■").Tip("").Padding("·"),
		mpb.BarWidth(l.reboots+2),
		mpb.PrependDecorators(decor.Name(node, decor.WCSyncSpaceR), decor.CountersNoUnit("reboot %d/%d")),
		mpb.AppendDecorators(decor.Any(func(shown decor.Statistics) string {
			text := *l.text.Load()
			if since := time.Since(time.Unix(0, l.since.Load())); text != "" && !shown.Completed {
				return fmt.Sprintf("%s (%s)", text, since.Truncate(time.Second))
			}

			return text
		})),
	)
}

func (l *line) say(text string) {
	l.text.Store(&text)
	l.since.Store(time.Now().UnixNano())
}

// Node tells what a node is about.
func (p *Progress) Node(name, text string) {
	if p.live != nil {
		p.lines[name].say(text)

		return
	}

	p.Say("%s%s: %s", name, p.lines[name].position(1), text)
}

// Done tells that a node has come through a reboot.
func (p *Progress) Done(name, text string) {
	l := p.lines[name]
	l.done++

	if p.live != nil {
		l.say(text)
		l.bar.Increment()

		return
	}

	p.Say("%s%s: %s", name, l.position(0), text)
}

// position says which reboot a node is in.
func (l *line) position(ahead int) string {
	return fmt.Sprintf(" %d/%d", min(l.done+ahead, l.reboots), l.reboots)
}

// Close leaves the last state of the live lines on the terminal, and ends what is
// told about nodes. It may be called again.
func (p *Progress) Close() {
	if p.live == nil {
		return
	}

	for _, l := range p.lines {
		l.bar.Abort(false)
	}

	p.live.Wait()
	p.live = nil
	p.To(p.w)
}
