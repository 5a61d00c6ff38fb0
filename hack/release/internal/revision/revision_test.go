// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package revision_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/hack/release/internal/revision"
)

var committed = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestVersion(t *testing.T) {
	for name, test := range map[string]struct {
		// steps are done after the first commit: "commit", "change", or the name of a tag.
		steps    []string
		version  string
		expected string
		tag      string
	}{
		"no tag":               {expected: "v0.0.0-20260301120000-COMMIT"},
		"a tag":                {steps: []string{"v0.1.0"}, expected: "v0.1.0"},
		"a release candidate":  {steps: []string{"v0.1.0-rc.1"}, expected: "v0.1.0-rc.1"},
		"after a tag":          {steps: []string{"v0.1.0", "commit"}, expected: "v0.1.1-0.20260301120000-COMMIT"},
		"after a candidate":    {steps: []string{"v1.1.0-rc.1", "commit"}, expected: "v1.1.0-rc.1.0.20260301120000-COMMIT"},
		"other tags":           {steps: []string{"hack/lab/v0.1.0", "latest"}, expected: "v0.0.0-20260301120000-COMMIT"},
		"a tag and changes":    {steps: []string{"v0.1.0", "change"}, expected: "v0.1.0+dirty", tag: "v0.1.0-dirty"},
		"no tag, with changes": {steps: []string{"change"}, expected: "v0.0.0-20260301120000-COMMIT+dirty"},
		"a version is given":   {steps: []string{"v0.1.0"}, version: "v7.0.0", expected: "v7.0.0"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := newRepository(t)

			for _, step := range test.steps {
				switch step {
				case "commit":
					git(t, dir, "commit", "--quiet", "--allow-empty", "--message", "more")
				case "change":
					require.NoError(t, os.WriteFile(filepath.Join(dir, "new"), nil, 0o600))
				default:
					git(t, dir, "tag", "--annotate", "--message", step, step)
				}
			}

			commit := git(t, dir, "rev-parse", "HEAD")

			got, err := revision.Read(t.Context(), dir, test.version, "")
			require.NoError(t, err)
			assert.Equal(t, strings.ReplaceAll(test.expected, "COMMIT", commit[:12]), got.Version)
			assert.Equal(t, committed, got.Time)

			if strings.HasSuffix(test.expected, "+dirty") {
				commit += "+dirty"
			}

			assert.Equal(t, commit, got.Commit)

			if test.tag != "" {
				assert.Equal(t, test.tag, got.Tag())
			}
		})
	}
}

func TestWithoutGit(t *testing.T) {
	isolate(t)

	dir := t.TempDir()

	_, err := revision.Read(t.Context(), dir, "", "")
	require.ErrorContains(t, err, "not a git repository")
	require.ErrorContains(t, err, "set VERSION=v1.2.3")

	got, err := revision.Read(t.Context(), dir, "v0.1.0", "")
	require.NoError(t, err)
	assert.Equal(t, revision.Revision{Version: "v0.1.0", Time: time.Unix(0, 0).UTC()}, got)

	t.Setenv("PATH", "")

	_, err = revision.Read(t.Context(), dir, "", "")
	assert.ErrorContains(t, err, `git rev-parse: exec: "git": executable file not found in $PATH; set VERSION=v1.2.3`)
}

// TestSomebodyElsesRepository has a source archive unpacked in a repository that is about something else.
func TestSomebodyElsesRepository(t *testing.T) {
	below := filepath.Join(newRepository(t), "rebound")
	require.NoError(t, os.Mkdir(below, 0o700))

	_, err := revision.Read(t.Context(), below, "", "")
	require.ErrorContains(t, err, "is not the top of a git repository")

	got, err := revision.Read(t.Context(), below, "v0.1.0", "")
	require.NoError(t, err)
	assert.Empty(t, got.Commit)
}

func TestSourceDateEpoch(t *testing.T) {
	isolate(t)

	got, err := revision.Read(t.Context(), t.TempDir(), "v0.1.0", "1772366400")
	require.NoError(t, err)
	assert.Equal(t, committed, got.Time)

	got, err = revision.Read(t.Context(), newRepository(t), "", "0")
	require.NoError(t, err)
	assert.Equal(t, time.Unix(0, 0).UTC(), got.Time)
}

func TestRefused(t *testing.T) {
	dir := newRepository(t)

	for _, version := range []string{"0.1.0", "v0.1", "v0.1.0 ", "latest", "v0.1.0+a b"} {
		_, err := revision.Read(t.Context(), dir, version, "")
		assert.ErrorContains(t, err, "is not a version: give one of the form v1.2.3", version)
	}

	for _, epoch := range []string{"now", "-1", "1.5"} {
		_, err := revision.Read(t.Context(), dir, "", epoch)
		assert.ErrorContains(t, err, "is not a number of seconds since 1970", epoch)
	}

	git(t, dir, "tag", "v0.1.x.0")

	_, err := revision.Read(t.Context(), dir, "", "")
	require.ErrorContains(t, err, `tag "v0.1.x.0" is not a version`)

	stopped, stop := context.WithCancel(t.Context())
	stop()

	_, err = revision.Read(stopped, dir, "v0.1.0", "")
	assert.ErrorIs(t, err, context.Canceled)
}

// newRepository is a repository with one commit.
func newRepository(t *testing.T) string {
	t.Helper()

	isolate(t)

	dir := t.TempDir()

	git(t, dir, "init", "--quiet")
	git(t, dir, "commit", "--quiet", "--allow-empty", "--message", "first")

	return dir
}

// isolate keeps the settings of whoever runs the tests out of them.
func isolate(t *testing.T) {
	t.Helper()

	date := committed.Format(time.RFC3339)

	for key, value := range map[string]string{
		"GIT_CONFIG_GLOBAL": os.DevNull, "GIT_CONFIG_SYSTEM": os.DevNull, "GIT_CEILING_DIRECTORIES": os.TempDir(),
		"GIT_AUTHOR_NAME": "test", "GIT_AUTHOR_EMAIL": "test@example.com", "GIT_AUTHOR_DATE": date,
		"GIT_COMMITTER_NAME": "test", "GIT_COMMITTER_EMAIL": "test@example.com", "GIT_COMMITTER_DATE": date,
	} {
		t.Setenv(key, value)
	}
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()

	output, err := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir}, args...)...).CombinedOutput()
	require.NoError(t, err, string(output))

	return strings.TrimSpace(string(output))
}
