// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package sentinel

// Resolve returns the folders that are looked at on the way to a file.
func Resolve(root, path string) (folders []string, exists bool, err error) {
	steps, exists, err := resolve(root, path)
	for _, step := range steps {
		folders = append(folders, step.folder)
	}

	return folders, exists, err
}
