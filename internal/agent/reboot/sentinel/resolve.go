// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package sentinel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// maxLinks bounds how many symbolic links lead to a file, as the kernel does (path_resolution(7)).
const maxLinks = 40

// lookup is one step on the way to a file: a name that is looked up in a folder. Both are as they are for this process, the
// folder without symbolic links.
type lookup struct{ folder, name string }

func (l lookup) path() string { return filepath.Join(l.folder, l.name) }

// resolve finds the file at path below root as a process would whose root that is: symbolic links do not lead out of it, as
// /var/run to /run would in a container that has the host's files elsewhere. It returns the steps up to the first that
// does not exist, and whether all of them do. The last step of a file that exists is at the file itself.
func resolve(root, path string) (steps []lookup, exists bool, err error) {
	root = filepath.Join("/", root)
	folder, links := "/", 0
	rest := names(path)

	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]

		if name == ".." {
			folder = filepath.Dir(folder)

			continue
		}

		step := lookup{filepath.Join(root, folder), name}
		steps = append(steps, step)

		info, err := os.Lstat(step.path())

		switch {
		case isAbsent(err):
			return steps, false, nil
		case err != nil:
			return steps, false, err
		case info.Mode()&fs.ModeSymlink == 0:
			folder = filepath.Join(folder, name)

			continue
		}

		if links++; links > maxLinks {
			return steps, false, fmt.Errorf("too many symbolic links lead to %q", path)
		}

		target, err := os.Readlink(step.path())

		switch {
		case isAbsent(err):
			return steps, false, nil
		case errors.Is(err, syscall.EINVAL):
			// It was a link when it was looked at, and has been replaced by something else since.
			steps, target = steps[:len(steps)-1], name
		case err != nil:
			return steps, false, err
		case filepath.IsAbs(target):
			folder = "/"
		}

		rest = append(names(target), rest...)
	}

	return steps, len(steps) > 0, nil
}

// names are those in a path, without those that lead nowhere.
func names(path string) []string {
	var names []string

	for name := range strings.SplitSeq(path, "/") {
		if name != "" && name != "." {
			names = append(names, name)
		}
	}

	return names
}
