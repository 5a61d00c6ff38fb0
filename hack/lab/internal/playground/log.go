// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package playground

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// log writes lines that begin with the seconds since it was made. Its method may
// be called concurrently.
type log struct {
	mu    sync.Mutex
	w     io.Writer
	began time.Time
}

func newLog(w io.Writer) *log { return &log{w: w, began: time.Now()} }

func (l *log) say(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()

	fmt.Fprintln(l.w, timed(time.Since(l.began), fmt.Sprintf(format, args...)))
}

func timed(since time.Duration, text string) string {
	return fmt.Sprintf("%6.1f s  %s", since.Seconds(), text)
}
