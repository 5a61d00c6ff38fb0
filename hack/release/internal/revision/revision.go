// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package revision tells what is released: the version, the commit, and the time that everything is dated with.
package revision

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

const (
	// tagPattern is what git takes for the tag of a version. Tags of nested modules have a folder in front.
	tagPattern = "v[0-9]*.[0-9]*.[0-9]*"
	// dirty marks a tree with changes that are not committed. The go command calls versions the same.
	dirty = "+dirty"
	// shortCommit is how much of a commit a pseudo-version has.
	shortCommit = 12
)

// Revision is a state of the source.
type Revision struct {
	// Version is that of a tag; after it, or without any, a pseudo-version as the go command has them. A tree with
	// changes that are not committed has "+dirty" at the end.
	Version string
	// Commit is the full hash, with "+dirty" like the version; empty without git.
	Commit string
	// Time is when the commit was made, in UTC and whole seconds.
	Time time.Time
}

// Tag is the version as registries take it: they know no plus sign.
func (revision Revision) Tag() string { return strings.ReplaceAll(revision.Version, "+", "-") }

// Read asks git about the source in dir. A version that is given is used instead of the one that git tells, and makes do
// without git; then epoch, the value of SOURCE_DATE_EPOCH, is needed for anything but 1970. Epoch goes before git's time.
func Read(ctx context.Context, dir, version, epoch string) (Revision, error) {
	if version != "" && semver.Canonical(version)+semver.Build(version) != version {
		return Revision{}, fmt.Errorf("VERSION %q is not a version: give one of the form v1.2.3", version)
	}

	revision, err := fromGit(ctx, dir)

	switch {
	case ctx.Err() != nil:
		return Revision{}, context.Cause(ctx)
	case version != "" && err != nil:
		revision = Revision{Version: version, Time: time.Unix(0, 0).UTC()}
	case version != "":
		revision.Version = version
	case err != nil:
		return Revision{}, fmt.Errorf("failed to tell the version: %w; set VERSION=v1.2.3, and SOURCE_DATE_EPOCH to its date", err)
	}

	if epoch != "" {
		seconds, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil || seconds < 0 {
			return Revision{}, fmt.Errorf("SOURCE_DATE_EPOCH %q is not a number of seconds since 1970", epoch)
		}

		revision.Time = time.Unix(seconds, 0).UTC()
	}

	return revision, nil
}

func fromGit(ctx context.Context, dir string) (Revision, error) {
	// A source archive may be unpacked in somebody else's repository.
	prefix, err := git(ctx, dir, "rev-parse", "--show-prefix")
	if err != nil {
		return Revision{}, err
	}

	if prefix != "" {
		return Revision{}, fmt.Errorf("folder %q is not the top of a git repository", dir)
	}

	head, err := git(ctx, dir, "show", "--no-show-signature", "--no-patch", "--format=%H %ct", "HEAD")
	if err != nil {
		return Revision{}, err
	}

	commit, date, _ := strings.Cut(head, " ")

	seconds, err := strconv.ParseInt(date, 10, 64)
	if err != nil {
		return Revision{}, fmt.Errorf("failed to read the date of commit %s: %w", commit, err)
	}

	revision := Revision{Commit: commit, Time: time.Unix(seconds, 0).UTC()}

	// Without any tag it is the commit alone.
	described, err := git(ctx, dir, "describe", "--tags", "--long", "--always", "--match", tagPattern, "HEAD")
	if err != nil {
		return Revision{}, err
	}

	if revision.Version, err = version(described, revision); err != nil {
		return Revision{}, err
	}

	changes, err := git(ctx, dir, "status", "--porcelain")
	if err != nil {
		return Revision{}, err
	}

	if changes != "" {
		revision.Version += dirty
		revision.Commit += dirty
	}

	return revision, nil
}

// version makes of "v0.1.0-3-g0123abc", as git describes a commit, what the go command makes of it.
func version(described string, revision Revision) (string, error) {
	tag, after := "", ""

	if parts := strings.Split(described, "-"); len(parts) > 2 {
		tag, after = strings.Join(parts[:len(parts)-2], "-"), parts[len(parts)-2]
	}

	if tag != "" && semver.Canonical(tag) != tag {
		return "", fmt.Errorf("tag %q is not a version of the form v1.2.3", tag)
	}

	if after == "0" {
		return tag, nil
	}

	major := semver.Major(tag)
	if major == "" {
		major = "v0"
	}

	return module.PseudoVersion(major, tag, revision.Time, revision.Commit[:shortCommit]), nil
}

// git runs git on the folder. The error has git's words.
func git(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "GIT_OPTIONAL_LOCKS=0")

	output, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) && len(exit.Stderr) > 0 {
			err = errors.New(string(bytes.TrimSpace(exit.Stderr)))
		}

		return "", fmt.Errorf("git %s: %w", args[0], err)
	}

	return strings.TrimSpace(string(output)), nil
}
