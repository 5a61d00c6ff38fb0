// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package embed

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/siderolabs/talos/pkg/machinery/textdiff"
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

	// original is the file without rebound; nil if there is no such file then.
	original []byte
}

// Plan is what is to be done to a tree. Without changes it is as it should be.
type Plan struct {
	// Talos is the version of the tree.
	Talos string
	// Options are those that the plan was made for; none if it takes rebound out.
	Options Options
	// Changes are in the order in which they are made.
	Changes []Change
}

// edit is what can be done to a file of Talos.
type edit struct {
	path, what  string
	diagnostics bool

	// strip returns the file without rebound; nil if there is no such file then.
	strip func(text []byte) ([]byte, error)
	// insert returns the file with rebound, made from what strip returns.
	insert func(original []byte, options Options) ([]byte, error)
}

// edits are in the order in which they are made, and are taken back in the opposite order: what is used comes before what
// it needs, and the requirement in go.mod last. A tree with some of them does not build, rather than lack something.
func edits() []edit {
	var all []edit

	for _, l := range lists {
		all = append(all, edit{l.path, l.what, l.diagnostics, strip, l.insert})
	}

	for _, file := range addedFiles {
		all = append(all, edit{file.path, file.what, file.diagnostics, file.strip, file.insert})
	}

	return append(all, edit{goModPath, "require rebound", false, strip, requireRebound})
}

// NewPlan plans to embed rebound into a tree of Talos. Whatever an earlier embedding left there is replaced, so that the
// plan for a tree that is as the options say has no changes. The error says where the tree is not understood; it joins
// all such places.
func NewPlan(tree fs.FS, options Options) (*Plan, error) {
	return newPlan(tree, edits(), options, func(e edit) bool { return !e.diagnostics || options.Diagnostics })
}

// NewRevertPlan plans to take out again what was embedded, and the checksums that the go command has added for it. A tree
// without rebound gives a plan without changes.
func NewRevertPlan(tree fs.FS) (*Plan, error) {
	all := append(edits(), edit{path: goSumPath, strip: stripSums})
	slices.Reverse(all)

	return newPlan(tree, all, Options{}, func(edit) bool { return false })
}

func newPlan(tree fs.FS, edits []edit, options Options, wanted func(edit) bool) (*Plan, error) {
	version, err := TalosVersion(tree)
	if err != nil {
		return nil, err
	}

	plan := &Plan{Talos: version, Options: options}

	var errs []error

	for _, e := range edits {
		change, err := e.change(tree, options, wanted(e))
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", e.path, err))
		} else if !bytes.Equal(change.Old, change.New) || (change.Old == nil) != (change.New == nil) {
			plan.Changes = append(plan.Changes, change)
		}
	}

	if err = errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("this tree of Talos %s is not understood, nothing was changed:\n%w", version, err)
	}

	return plan, nil
}

func (e edit) change(tree fs.FS, options Options, wanted bool) (Change, error) {
	old, err := fs.ReadFile(tree, e.path)

	var original []byte

	switch {
	case errors.Is(err, fs.ErrNotExist):
		old, err = nil, nil
	case err == nil && bytes.Contains(old, []byte("\r\n")):
		err = errors.New("its lines end with CR LF; check the tree out with core.autocrlf=false")
	case err == nil:
		original, err = e.strip(old)
	}

	change := Change{Path: e.path, What: "take it out", Old: old, New: original, original: original}

	if err == nil && wanted {
		change.What = e.what
		change.New, err = e.insert(original, options)
	}

	return change, err
}

// WriteDiff writes the plan as a unified diff, which git apply understands.
func (plan *Plan) WriteDiff(w io.Writer) error {
	for _, change := range plan.Changes {
		before, after := "a/"+change.Path, "b/"+change.Path

		if change.Old == nil {
			before = "/dev/null"
		}

		if change.New == nil {
			after = "/dev/null"
		}

		diff, err := textdiff.DiffWithCustomPaths(string(change.Old), string(change.New), before, after)
		if err != nil {
			return fmt.Errorf("failed to compare %q: %w", change.Path, err)
		}

		if _, err = io.WriteString(w, diff); err != nil {
			return fmt.Errorf("failed to write diff: %w", err)
		}
	}

	return nil
}
