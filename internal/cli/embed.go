// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"

	"github.com/talos-rebound/rebound/internal/embed"
)

// EmbedOptions are what rebound embed may be given.
type EmbedOptions struct {
	// Talos is the folder with the source of Talos.
	Talos string
	// Version is the release of rebound to embed; empty means that of this binary.
	Version string
	// Dir is a folder with the source of rebound that is used instead.
	Dir string
	// Diagnostics adds the diagnostic.
	Diagnostics bool
	// Revert takes out what was embedded.
	Revert bool
	// DryRun prints the changes and makes none.
	DryRun bool
}

// Embed puts rebound into a source tree of Talos, or takes it out again.
func Embed(ctx context.Context, options EmbedOptions, out io.Writer) (err error) {
	root, err := openTalos(options.Talos)
	if err != nil {
		return err
	}

	defer func() { err = errors.Join(err, root.Close()) }()

	plan, err := newPlan(root, options)
	if err != nil {
		return err
	}

	if !options.Revert {
		if err = refuseUncommitted(ctx, plan, options.Talos); err != nil {
			return err
		}
	}

	switch {
	case options.DryRun:
		return plan.WriteDiff(out)
	case ctx.Err() != nil:
		return failure{errors.New("interrupted, nothing was changed")}
	}

	if err = embed.Apply(root, plan); err != nil {
		return failure{err}
	}

	return reportPlan(plan, options, out)
}

// openTalos opens a source tree of Talos in which rebound can be embedded.
func openTalos(folder string) (*os.Root, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, fmt.Errorf("failed to open the source tree of Talos: %w; name a checkout of github.com/siderolabs/talos", err)
	}

	if _, err = embed.TalosVersion(root.FS()); err != nil {
		return nil, errors.Join(fmt.Errorf("%w (folder %s)", err, folder), root.Close())
	}

	return root, nil
}

func newPlan(root *os.Root, options EmbedOptions) (*embed.Plan, error) {
	if options.Revert {
		return embed.NewRevertPlan(root.FS())
	}

	embedded := embed.Options{Version: options.Version, Diagnostics: options.Diagnostics}

	var err error

	switch {
	case options.Dir != "":
		embedded.Dir, err = replacement(options.Talos, options.Dir)
	case options.Version == "":
		embedded.Version, err = ownVersion()
	case semver.Canonical(options.Version) != options.Version:
		err = fmt.Errorf("%q is not a version of rebound: give one of the form v1.2.3 with --rebound-version", options.Version)
	}

	if err != nil {
		return nil, err
	}

	return embed.NewPlan(root.FS(), embedded)
}

// replacement is the folder of rebound as go.mod of Talos has to call it.
func replacement(talos, dir string) (string, error) {
	goMod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return "", fmt.Errorf("failed to find the source of rebound: %w", err)
	}

	if path := modfile.ModulePath(goMod); path != embed.Module {
		return "", fmt.Errorf("failed to find the source of rebound: %q has module %q, not %q", dir, path, embed.Module)
	}

	from, err := realPath(talos)
	if err != nil {
		return "", err
	}

	to, err := realPath(dir)
	if err != nil {
		return "", err
	}

	relative, err := filepath.Rel(from, to)
	if err != nil {
		return "", fmt.Errorf("failed to find the source of rebound: %w", err)
	}

	if !outside(relative) {
		relative = "." + string(filepath.Separator) + relative
	}

	return relative, nil
}

// realPath is where a path leads: what is relative to it must hold whichever way one came.
func realPath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}

	return filepath.EvalSymlinks(path)
}

func outside(relative string) bool {
	return relative == ".." || strings.HasPrefix(relative, ".."+string(filepath.Separator))
}

// ownVersion is the release that this binary was built from.
func ownVersion() (string, error) {
	if built, _ := builtFrom(); semver.IsValid(built) && semver.Build(built) == "" && !module.IsPseudoVersion(built) {
		return built, nil
	}

	return "", errors.New("this binary was not built from a release: say which one to embed with --rebound-version, or where its source is with --rebound-dir")
}

func refuseUncommitted(ctx context.Context, plan *embed.Plan, talos string) error {
	dirty, err := plan.Uncommitted(ctx, talos)
	if err != nil {
		return failure{err}
	}

	if len(dirty) > 0 {
		return fmt.Errorf("these files of Talos have changes that are not committed; commit or stash them first, nothing was changed:\n  %s", strings.Join(dirty, "\n  "))
	}

	return nil
}

func reportPlan(plan *embed.Plan, options EmbedOptions, out io.Writer) error {
	if len(plan.Changes) == 0 {
		if options.Revert {
			fmt.Fprintf(out, "Talos %s in %s has no rebound in it, nothing was changed\n", plan.Talos, options.Talos)
		} else {
			fmt.Fprintf(out, "Talos %s in %s has rebound in it already, nothing was changed\n", plan.Talos, options.Talos)
		}

		return nil
	}

	fmt.Fprintf(out, "Talos %s in %s:\n", plan.Talos, options.Talos)

	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)

	for _, change := range plan.Changes {
		fmt.Fprintf(table, "  %s\t%s\n", change.Path, change.What)
	}

	if err := table.Flush(); err != nil {
		return failure{fmt.Errorf("failed to write result: %w", err)}
	}

	switch {
	case options.Revert:
		return nil
	case plan.Options.Dir == "":
		fmt.Fprintf(out, "\nnext: (cd %[1]s && go get %[2]s@%[3]s) && rebound embed --verify %[1]s\n", shellQuoted(options.Talos), embed.Module, plan.Options.Version)
	default:
		fmt.Fprintf(out, "\nnext: rebound embed --verify %s\n", shellQuoted(options.Talos))
	}

	if plan.Options.Dir != "" && !strings.HasPrefix(filepath.ToSlash(plan.Options.Dir), "./tools/") {
		fmt.Fprintln(out, "note: Talos' own build runs in a container, which downloads modules before it has more of the tree than tools/;\n"+
			"      for `make installer` embed a release, or a copy of the source in tools/rebound")
	}

	return nil
}

// shellQuoted is a path as a shell takes it.
func shellQuoted(path string) string {
	if strings.ContainsFunc(path, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._/~+", r))
	}) {
		return "'" + strings.ReplaceAll(path, "'", `'\\''`) + "'"
	}

	return path
}

// Verify checks that a source tree of Talos with rebound in it will start.
func Verify(ctx context.Context, talos string, out io.Writer) error {
	root, err := openTalos(talos)
	if err != nil {
		return err
	}

	if err = root.Close(); err != nil {
		return err
	}

	if err = embed.Verify(ctx, talos, out); err != nil && ctx.Err() != nil {
		return failure{errors.New("interrupted")}
	} else if err != nil {
		return failure{err}
	}

	return nil
}
