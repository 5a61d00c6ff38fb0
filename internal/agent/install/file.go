// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package install

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/talos-rebound/rebound/internal/agent/manifest"
)

// target is the file that is installed.
type target struct {
	folder *os.Root
	name   string
	path   string // for people
	mode   fs.FileMode
}

// openFolder opens a folder of this host. Links are followed wherever they lead, as the kubelet does.
func openFolder(folder string, create bool) (*os.Root, error) {
	if create {
		if err := os.MkdirAll(folder, folderMode); err != nil {
			return nil, err
		}
	}

	return os.OpenRoot(folder)
}

// openBelow opens a folder of an image. A link in it must not lead to the host that the image is made on.
func openBelow(root, folder string, create bool) (opened *os.Root, err error) {
	image, err := os.OpenRoot(root)
	if err != nil {
		return nil, refusedRoot(err)
	}

	defer func() { err = errors.Join(err, image.Close()) }()

	folder = strings.TrimPrefix(folder, string(filepath.Separator))

	if create {
		if err = image.MkdirAll(folder, folderMode); err != nil {
			return nil, err
		}
	}

	return image.OpenRoot(folder)
}

func refusedRoot(err error) error { return refused("failed to open the folder of --root: %v", err) }

// read is what is in the file; nil if there is none. What is not ours is refused, with advice.
func (target *target) read(advice string) ([]byte, error) {
	foreign := refused("%q was not written by rebound: %s", target.path, advice)

	switch info, err := target.folder.Lstat(target.name); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("failed to look at %q: %w", target.path, err)
	case !info.Mode().IsRegular():
		return nil, foreign
	}

	content, err := target.folder.ReadFile(target.name)
	if err != nil {
		return nil, fmt.Errorf("failed to read %q: %w", target.path, err)
	}

	if !manifest.IsOurs(content) {
		return nil, foreign
	}

	return content, nil
}

// write puts the file there as a whole. The kubelet leaves files with a dot alone until they have their name (Kubernetes
// v1.36.3 pkg/kubelet/config/file.go, extractFromDir and file_linux.go, produceWatchEvent), and systemd those that do
// not end like a unit.
func (target *target) write(content []byte) (err error) {
	temporary := "." + target.name + ".new"

	defer func() {
		if err != nil {
			err = fmt.Errorf("failed to write %q: %w", target.path, err)
		}
	}()

	// What a run that was killed has left must not be written to: it might be a link.
	if err = target.folder.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}

	file, err := target.folder.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, target.mode)
	if err != nil {
		return err
	}

	defer func() {
		if err != nil {
			err = errors.Join(err, target.folder.Remove(temporary))
		}
	}()

	_, err = file.Write(content)

	// The mode is what it should be with any umask.
	if err = errors.Join(err, file.Chmod(target.mode), file.Sync(), file.Close()); err != nil {
		return err
	}

	return target.folder.Rename(temporary, target.name)
}

// remove takes the file away; that there is none is no error.
func (target *target) remove() error {
	if err := target.folder.Remove(target.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("failed to remove %q: %w", target.path, err)
	}

	return nil
}
