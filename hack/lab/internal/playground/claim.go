// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package playground

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/siderolabs/talos/pkg/machinery/role"

	"github.com/talos-rebound/rebound/hack/lab/lab"
)

// description is what lab.json has.
type description struct {
	// PID is the process of the lab.
	PID int `json:"pid"`
	// Socket is where the lab takes orders; empty until it is up.
	Socket string `json:"socket"`
}

func descriptionIn(folder string) string { return filepath.Join(folder, "lab.json") }

// claim is a lab's hold on its folder: a lock on lab.json, which ends with the
// process, whatever ends that.
type claim struct {
	folder string
	// made says that the folder was not there before.
	made bool
	file *os.File
}

// openClaim claims the folder for this process. What an earlier one has left
// there is replaced.
func openClaim(path string) (*claim, error) {
	folder, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("failed to find folder %q: %w", path, err)
	}

	_, statErr := os.Stat(folder)

	if err = os.MkdirAll(folder, 0o755); err != nil {
		return nil, fmt.Errorf("failed to create folder: %w", err)
	}

	file, err := lockDescription(folder)
	if err != nil {
		return nil, err
	}

	c := &claim{folder: folder, made: errors.Is(statErr, fs.ErrNotExist), file: file}

	if err = c.describe(description{PID: os.Getpid()}); err != nil {
		return nil, errors.Join(err, c.release())
	}

	return c, nil
}

// lockDescription opens lab.json and locks it.
func lockDescription(folder string) (*os.File, error) {
	path := descriptionIn(folder)

	for {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644) //nolint:gosec // nothing in it is secret
		if err != nil {
			return nil, fmt.Errorf("failed to claim folder %q: %w", folder, err)
		}

		if err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			err = fmt.Errorf("failed to claim folder %q: %w", folder, err)

			if isLocked(err) {
				err = fmt.Errorf("process %d has a lab up in %q: end that one with Ctrl-C, or choose another folder with --out", readDescription(file).PID, folder)
			}

			file.Close() //nolint:errcheck // nothing was written

			return nil, err
		}

		// The lab before may have removed the file between the two.
		if isStill(file, path) {
			return file, nil
		}

		file.Close() //nolint:errcheck // nothing was written
	}
}

func isLocked(err error) bool { return errors.Is(err, syscall.EWOULDBLOCK) }

func isStill(file *os.File, path string) bool {
	opened, err := file.Stat()
	if err != nil {
		return false
	}

	there, err := os.Stat(path)

	return err == nil && os.SameFile(opened, there)
}

// readDescription returns what is in a file; zero if that makes no sense.
func readDescription(file io.Reader) description {
	var found description

	// Whoever reads may be earlier than the one who writes.
	if json.NewDecoder(file).Decode(&found) != nil {
		return description{}
	}

	return found
}

// findLab returns the description of the lab that has claimed the folder.
func findLab(folder string) (description, error) {
	errNone := fmt.Errorf("no lab is up in %q: start one with 'lab up', or name its folder with --out", folder)

	file, err := os.Open(descriptionIn(folder))
	if errors.Is(err, fs.ErrNotExist) {
		return description{}, errNone
	}

	if err != nil {
		return description{}, fmt.Errorf("failed to find lab: %w", err)
	}

	defer file.Close() //nolint:errcheck // nothing is written

	if err = syscall.Flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); !isLocked(err) {
		return description{}, errNone
	}

	found := readDescription(file)
	if found.Socket == "" {
		return description{}, fmt.Errorf("the lab in %q is not up yet: try again when it says how to use it", folder)
	}

	return found, nil
}

// publish writes everything that users of the lab need.
func (c *claim) publish(cluster *lab.Lab, socket string) error {
	if err := cluster.WriteTalosconfig(talosconfigIn(c.folder), role.MakeSet(role.Admin)); err != nil {
		return err
	}

	kubeconfig, err := os.ReadFile(cluster.Kubeconfig())
	if err != nil {
		return fmt.Errorf("failed to read kubeconfig: %w", err)
	}

	if err = os.WriteFile(kubeconfigIn(c.folder), kubeconfig, 0o600); err != nil {
		return fmt.Errorf("failed to write kubeconfig: %w", err)
	}

	return c.describe(description{PID: os.Getpid(), Socket: socket})
}

func (c *claim) describe(d description) error {
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return fmt.Errorf("failed to encode description of the lab: %w", err)
	}

	if err = c.file.Truncate(0); err == nil {
		_, err = c.file.WriteAt(append(text, '\n'), 0)
	}

	if err != nil {
		return fmt.Errorf("failed to write description of the lab: %w", err)
	}

	return nil
}

// release removes what was written and gives the folder up.
func (c *claim) release() error {
	var errs []error

	for _, path := range []string{talosconfigIn(c.folder), kubeconfigIn(c.folder), descriptionIn(c.folder)} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}

	if c.made {
		// Whatever else is in it by now is not the lab's.
		if err := os.Remove(c.folder); err != nil && !errors.Is(err, syscall.ENOTEMPTY) {
			errs = append(errs, err)
		}
	}

	if err := errors.Join(append(errs, c.file.Close())...); err != nil {
		return fmt.Errorf("failed to give folder %q up: %w", c.folder, err)
	}

	return nil
}
