// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package embed

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
)

// Options say what is embedded.
type Options struct {
	// Version is the version of rebound that is required, such as v0.1.0; not used with Dir.
	Version string
	// Dir is a folder with the source of rebound that is used instead of a release, absolute or relative to the tree of
	// Talos, beginning with "./" or "../" then.
	Dir string
	// Diagnostics adds the diagnostic as well, so that a stock talosctl and the console name the pod.
	Diagnostics bool
}

// Change is what becomes of a file.
type Change struct {
	// Path is relative to the tree, with slashes.
	Path string
	// What says what the change is for, in a few words.
	What string
	// Old and New are the contents; nil means that there is no such file.
	Old, New []byte
}

// Plan is what is to be done to a tree. Without changes it is as it should be.
type Plan struct {
	// Talos is the version of the tree.
	Talos string
	// Version is the release of rebound that go.mod is to require, and Dir the folder that it is to name instead; both are
	// empty if it is to mention none.
	Version, Dir string
	// Changes are in the order in which they are made.
	Changes []Change

	// originals are the files that are edited as they are without rebound, and remove makes them so, by path.
	originals map[string][]byte
	remove    map[string]edit
}

// NewPlan plans to embed rebound into a tree of Talos. Whatever an earlier embedding left there is replaced, so that the
// plan for a tree that is as the options say has no changes. The error says where the tree is not understood; it joins
// all such places.
func NewPlan(tree fs.FS, options Options) (*Plan, error) {
	return plan(tree, func(b *builder) {
		if b.plan.Dir = options.Dir; options.Dir == "" {
			b.plan.Version = options.Version
		}

		for _, p := range places {
			if p.diagnostics && !options.Diagnostics {
				b.editIfThere(p.path, p.remove)
			} else {
				b.edit(p.path, p.what, p.remove, p.add)
			}
		}

		for _, file := range addedFiles {
			if file.diagnostics && !options.Diagnostics {
				b.remove(file)
			} else {
				b.add(file)
			}
		}

		// It comes last: without it, a tree in which only some of the rest is in place does not build.
		b.edit(goModPath, "require rebound", dropRebound, func(text []byte) ([]byte, error) {
			return requireRebound(text, options.Version, options.Dir)
		})
	})
}

// NewRevertPlan plans to take out again what was embedded, and the checksums that the go command has added for it. A tree
// without rebound gives a plan without changes.
func NewRevertPlan(tree fs.FS) (*Plan, error) {
	return plan(tree, func(b *builder) {
		b.editIfThere(goModPath, dropRebound)
		b.editIfThere(goSumPath, dropSums)

		for _, p := range places {
			b.editIfThere(p.path, p.remove)
		}

		for _, file := range addedFiles {
			b.remove(file)
		}
	})
}

func plan(tree fs.FS, build func(*builder)) (*Plan, error) {
	version, err := TalosVersion(tree)
	if err != nil {
		return nil, err
	}

	b := builder{tree: tree, plan: &Plan{Talos: version, originals: map[string][]byte{}, remove: map[string]edit{}}}
	build(&b)

	if err = errors.Join(b.errs...); err != nil {
		return nil, fmt.Errorf("this tree of Talos %s is not understood, nothing was changed:\n%w", version, err)
	}

	return b.plan, nil
}

// builder collects the changes of a plan, and everything that speaks against it.
type builder struct {
	tree fs.FS
	plan *Plan
	errs []error
}

// edit returns a changed text.
type edit func(text []byte) ([]byte, error)

// edit removes what is rebound's from a file and adds it anew.
func (b *builder) edit(path, what string, remove, add edit) {
	old, err := b.read(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = errMissing
	}

	original, err := then(remove, old, err)
	changed, err := then(add, original, err)

	b.plan.originals[path], b.plan.remove[path] = original, remove
	b.change(Change{Path: path, What: what, Old: old, New: changed}, err)
}

// editIfThere removes what is rebound's from a file, unless there is no such file.
func (b *builder) editIfThere(path string, remove edit) {
	old, err := b.read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}

	original, err := then(remove, old, err)

	b.plan.originals[path], b.plan.remove[path] = original, remove
	b.change(Change{Path: path, What: "take it out", Old: old, New: original}, err)
}

// read reads a file of lines, to which lines can be added.
func (b *builder) read(path string) ([]byte, error) {
	text, err := fs.ReadFile(b.tree, path)

	switch {
	case err != nil:
		return nil, err
	case bytes.Contains(text, []byte("\r\n")):
		return nil, errors.New("its lines end with CR LF; check the tree out with core.autocrlf=false")
	case len(text) > 0 && !bytes.HasSuffix(text, []byte("\n")):
		return nil, errors.New("its last line has no line feed")
	default:
		return text, nil
	}
}

func then(edit edit, text []byte, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}

	return edit(text)
}

// add adds a file of ours.
func (b *builder) add(file added) {
	old, err := b.readAdded(file)

	b.change(Change{Path: file.path, What: file.what, Old: old, New: []byte(file.text)}, err)
}

// remove removes a file of ours.
func (b *builder) remove(file added) {
	old, err := b.readAdded(file)

	b.change(Change{Path: file.path, What: "take it out", Old: old}, err)
}

// readAdded reads a file of ours. Whatever else may be there is not touched.
func (b *builder) readAdded(file added) ([]byte, error) {
	old, err := fs.ReadFile(b.tree, file.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}

	if err == nil && !bytes.HasPrefix(old, []byte(addedHeader)) {
		err = errors.New("there is such a file, and rebound embed did not write it")
	}

	return old, err
}

func (b *builder) change(change Change, err error) {
	if err != nil {
		b.errs = append(b.errs, fmt.Errorf("%s: %w", change.Path, err))

		return
	}

	if !bytes.Equal(change.Old, change.New) || (change.Old == nil) != (change.New == nil) {
		b.plan.Changes = append(b.plan.Changes, change)
	}
}
