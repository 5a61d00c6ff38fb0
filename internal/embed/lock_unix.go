// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

//go:build unix

package embed

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Lock keeps others from embedding in a tree until the function that it returns is called or the process ends. It is an
// error if somebody else is at it.
func Lock(dir string) (unlock func() error, err error) {
	file, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("failed to open the source tree of Talos: %w", err)
	}

	if err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = fmt.Errorf("another rebound embed is at work in %q", dir)
		} else {
			err = fmt.Errorf("failed to lock %q: %w", dir, err)
		}

		return nil, errors.Join(err, file.Close())
	}

	return file.Close, nil
}
