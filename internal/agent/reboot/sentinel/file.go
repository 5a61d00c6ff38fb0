// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package sentinel

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/zap"
)

const (
	// maxTries bounds how often the folders on the way to a file may change while they are looked at.
	maxTries = 10
	// maxPackages is how many packages a reason names, maxList how many bytes of their list are read.
	maxPackages = 3
	maxList     = 64 << 10
)

// File wants a reboot while a file exists. It is told by inotify when that changes, and looks by itself as well: of a file
// system on another machine, say, inotify tells nothing.
type File struct {
	// Path is the file on the host; it need not exist, nor any folder on the way to it. Root is the folder that the host's
	// files are below, empty if that is the root of this process.
	Path, Root string
	// Period is the time between two looks.
	Period time.Duration
	Logger *zap.Logger
}

// Watch implements reboot.Sentinel.
func (f *File) Watch(ctx context.Context, tell func(wanted bool, reason string)) {
	w := &fileWatch{File: f, tell: tell}

	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		f.Logger.Warn("cannot be told of the sentinel file at once, and looks for it every now and then",
			zap.String("path", f.Path), zap.Duration("period", f.Period), zap.Error(err))
	} else {
		defer watcher.Close() //nolint:errcheck // nothing is written

		w.watcher, w.events, w.errors = watcher, watcher.Events, watcher.Errors
	}

	ticker := time.NewTicker(f.Period)
	defer ticker.Stop()

	w.look()

	for {
		select {
		case <-ctx.Done():
			return
		case event := <-w.events:
			if !w.concerns(event.Name) {
				continue
			}
		case <-w.errors: //nolint:errcheck // events were lost, whatever it says
		case <-ticker.C:
		}

		w.look()
	}
}

// fileWatch is one run of Watch.
type fileWatch struct {
	*File

	tell func(bool, string)

	// watcher is nil where there is no inotify. Its channels never give anything then.
	watcher *fsnotify.Watcher
	events  <-chan fsnotify.Event
	errors  <-chan error
	// steps are the names on the way to the file.
	steps []lookup

	problem string
}

// concerns tells whether a path is one on the way to the file, or that of the list beside it.
func (w *fileWatch) concerns(path string) bool {
	return len(w.steps) == 0 || path == w.steps[len(w.steps)-1].path()+listSuffix ||
		slices.ContainsFunc(w.steps, func(step lookup) bool { return step.path() == path || step.folder == path })
}

// look looks for the file and tells what it has found. What cannot be told is not.
func (w *fileWatch) look() {
	exists, err := w.find()

	problem := ""
	if err != nil {
		problem = err.Error()
	}

	if problem != "" && problem != w.problem {
		w.Logger.Warn("cannot look for the sentinel file", zap.String("path", w.Path), zap.Error(err))
	}

	w.problem = problem

	switch {
	case err != nil:
	case exists:
		w.tell(true, w.reason())
	default:
		w.tell(false, "")
	}
}

// find looks for the file. All folders on the way are watched before the last look, so that nothing is missed.
func (w *fileWatch) find() (exists bool, err error) {
	w.forget()

	for range maxTries {
		w.steps, exists, err = resolve(w.Root, w.Path)

		if !w.watch() {
			return exists, err
		}
	}

	return exists, err
}

// forget watches nothing any more. A folder that was watched may not be the one that has its name now.
func (w *fileWatch) forget() {
	if w.watcher == nil {
		return
	}

	for _, folder := range w.watcher.WatchList() {
		w.watcher.Remove(folder) //nolint:errcheck // it is gone
	}
}

// watch watches the folders on the way, and tells whether one of them was not watched before.
func (w *fileWatch) watch() (changed bool) {
	if w.watcher == nil {
		return false
	}

	watched := w.watcher.WatchList()

	for _, step := range w.steps {
		// One that has gone in between is missed the next time.
		if !slices.Contains(watched, step.folder) && w.watcher.Add(step.folder) == nil {
			watched, changed = append(watched, step.folder), true
		}
	}

	return changed
}

// listSuffix is that of the list of packages which want the reboot, beside the file (Debian's unattended-upgrades and
// Ubuntu's update-notifier-common).
const listSuffix = ".pkgs"

// reason names the packages that want the reboot, if there is a list of them.
func (w *fileWatch) reason() string {
	reason := "found " + w.Path

	packages := w.packages()
	if len(packages) == 0 {
		return reason
	}

	shown := packages[:min(len(packages), maxPackages)]
	reason += ": " + strings.Join(shown, ", ")

	if more := len(packages) - len(shown); more > 0 {
		reason += fmt.Sprintf(" and %d more", more)
	}

	return reason
}

// packages are those in the list, each once and in their order.
func (w *fileWatch) packages() []string {
	steps, exists, err := resolve(w.Root, w.Path+listSuffix)
	if err != nil || !exists {
		return nil
	}

	path := steps[len(steps)-1].path()

	// A pipe would never be read to its end.
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return nil
	}

	list, err := os.Open(path)
	if err != nil {
		return nil
	}

	defer list.Close() //nolint:errcheck // nothing was written

	var packages []string

	for lines := bufio.NewScanner(io.LimitReader(list, maxList)); lines.Scan(); {
		if name := strings.TrimSpace(lines.Text()); name != "" && !slices.Contains(packages, name) {
			packages = append(packages, name)
		}
	}

	return packages
}

// isAbsent tells whether there is nothing at a path.
func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}
