// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package component

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

const (
	cleanInterval = 100 * time.Millisecond
	cleanAttempts = 50
)

// clean waits for the end of the lab and removes its folder.
//
// A lab that ends well has removed the folder itself. A lab that was killed
// has not, nor has a test binary that was interrupted: such a binary runs none
// of its cleanups. The other components end at the same moment as the lab, but
// not before their last write, so removing goes on until the folder stays away.
func clean(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("expected one folder to clean, got %q", args)
	}

	awaitParentsEnd()

	folder := args[0]

	var err error

	for range cleanAttempts {
		if _, statErr := os.Stat(folder); errors.Is(statErr, fs.ErrNotExist) {
			return nil
		}

		err = os.RemoveAll(folder)

		time.Sleep(cleanInterval)
	}

	return fmt.Errorf("failed to remove %q: %w", folder, err)
}
