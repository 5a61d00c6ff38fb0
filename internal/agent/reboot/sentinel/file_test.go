// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package sentinel_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
	"go.uber.org/zap/zaptest/observer"

	"github.com/talos-rebound/rebound/internal/agent/reboot/sentinel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	// patience is how long a test waits for what happens within milliseconds on a machine with nothing else to do.
	patience = 30 * time.Second
	// never is a period in which no test looks again: what is told is told by inotify.
	never = time.Hour

	path = "/var/run/reboot-required"
)

// watched is one sentinel at work.
type watched struct {
	t    *testing.T
	told chan string
	end  func()
}

// watcher is what a sentinel is to those who use it.
type watcher interface {
	Watch(ctx context.Context, tell func(wanted bool, reason string))
}

func start(t *testing.T, sentinel watcher) *watched {
	t.Helper()

	ctx, cancel := context.WithCancel(t.Context())
	told, ended := make(chan string, 1000), make(chan struct{})

	go func() {
		defer close(ended)
		sentinel.Watch(ctx, func(wanted bool, reason string) {
			if !wanted {
				reason = ""
			}

			select {
			case told <- reason:
			case <-ctx.Done():
			}
		})
	}()

	end := func() {
		cancel()
		<-ended
	}
	t.Cleanup(end)

	return &watched{t: t, told: told, end: end}
}

// await waits until the sentinel says what it should; "" is that no reboot is wanted.
func (w *watched) await(want string) {
	w.t.Helper()

	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()

	last := "nothing"

	for {
		select {
		case last = <-w.told:
			if last == want {
				return
			}
		case <-ctx.Done():
			require.FailNow(w.t, "the sentinel does not say it", "wanted %q, it has said %q", want, last)
		}
	}
}

// host is the folder of a host, with the folders that are named.
func host(t *testing.T, folders ...string) string {
	t.Helper()

	root := t.TempDir()
	for _, folder := range folders {
		require.NoError(t, os.MkdirAll(filepath.Join(root, folder), 0o700))
	}

	return root
}

func write(t *testing.T, root, path, content string) {
	t.Helper()

	require.NoError(t, os.WriteFile(filepath.Join(root, path), []byte(content), 0o600))
}

func remove(t *testing.T, root, path string) {
	t.Helper()

	require.NoError(t, os.RemoveAll(filepath.Join(root, path)))
}

func file(t *testing.T, root string) *sentinel.File {
	t.Helper()

	return &sentinel.File{Path: path, Root: root, Period: never, Logger: zaptest.NewLogger(t)}
}

const found = "found " + path

func TestAFileIsSeenAsItComesAndGoes(t *testing.T) {
	t.Parallel()

	root := host(t, "var/run")
	w := start(t, file(t, root))
	w.await("")

	for range 3 {
		write(t, root, path, "")
		w.await(found)
		remove(t, root, path)
		w.await("")
	}

	write(t, root, "var/run/new", "")
	require.NoError(t, os.Rename(filepath.Join(root, "var/run/new"), filepath.Join(root, path)))
	w.await(found)
	require.NoError(t, os.Rename(filepath.Join(root, path), filepath.Join(root, "var/run/old")))
	w.await("")
}

func TestAFileThatIsThereIsSeenAtOnce(t *testing.T) {
	t.Parallel()

	root := host(t, "var/run")
	write(t, root, path, "*** System restart required ***\n")

	start(t, file(t, root)).await(found)
}

func TestAFolderMayComeLaterAndGo(t *testing.T) {
	t.Parallel()

	root := host(t)
	w := start(t, file(t, root))
	w.await("")

	for range 3 {
		require.NoError(t, os.MkdirAll(filepath.Join(root, "var/run"), 0o700))
		write(t, root, path, "")
		w.await(found)
		remove(t, root, "var")
		w.await("")
	}
}

func TestASymbolicLinkStaysBelowTheRoot(t *testing.T) {
	t.Parallel()

	for name, target := range map[string]string{"absolute": "/run", "relative": "../run", "above the root": "../../../../run"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			root := host(t, "var", "run")
			require.NoError(t, os.Symlink(target, filepath.Join(root, "var/run")))

			w := start(t, file(t, root))
			w.await("")

			for range 2 {
				write(t, root, "run/reboot-required", "")
				w.await(found)
				remove(t, root, "run/reboot-required")
				w.await("")
			}
		})
	}
}

func TestALinkThatLeadsElsewhereIsFollowed(t *testing.T) {
	t.Parallel()

	root := host(t, "var", "run", "srv")
	link := filepath.Join(root, "var/run")
	require.NoError(t, os.Symlink("/run", link))
	write(t, root, "srv/reboot-required", "")

	w := start(t, file(t, root))
	w.await("")

	remove(t, root, "var/run")
	require.NoError(t, os.Symlink("/srv", link))
	w.await(found)

	remove(t, root, "srv/reboot-required")
	w.await("")
}

// TestAFolderOfTheSameNameIsAnother replaces a folder in one step, so that its name is never missing.
func TestAFolderOfTheSameNameIsAnother(t *testing.T) {
	t.Parallel()

	root := host(t, "a/var/run", "b/var/run")
	link := filepath.Join(root, "var")
	require.NoError(t, os.Symlink("a/var", link))

	w := start(t, file(t, root))
	w.await("")

	require.NoError(t, os.Symlink("b/var", link+"-new"))
	require.NoError(t, os.Rename(link+"-new", link))
	w.await("")
	write(t, root, "b/var/run/reboot-required", "")
	w.await(found)

	require.NoError(t, os.Rename(filepath.Join(root, "b"), filepath.Join(root, "c")))
	require.NoError(t, os.MkdirAll(filepath.Join(root, "b/var/run"), 0o700))
	w.await("")
	write(t, root, "b/var/run/reboot-required", "")
	w.await(found)
}

func TestAFileThatCannotBeLookedForSaysNothing(t *testing.T) {
	t.Parallel()

	root := host(t, "var")
	require.NoError(t, os.Symlink("run", filepath.Join(root, "var/run")))

	core, logs := observer.New(zap.WarnLevel)
	f := file(t, root)
	f.Period, f.Logger = time.Millisecond, zap.New(core)

	w := start(t, f)

	require.Eventually(t, func() bool { return logs.FilterMessage("cannot look for the sentinel file").Len() == 1 }, patience, time.Millisecond)
	assert.Empty(t, w.told, "a link that leads to itself is no answer")

	remove(t, root, "var/run")
	require.NoError(t, os.MkdirAll(filepath.Join(root, "var/run"), 0o700))
	write(t, root, path, "")
	w.await(found)
	w.end()
	assert.Equal(t, 1, logs.Len(), "the same problem is told once")
}

// TestWhatInotifyDoesNotTellIsSeenLater has the list in a folder that is not on the way to the file.
func TestWhatInotifyDoesNotTellIsSeenLater(t *testing.T) {
	t.Parallel()

	root := host(t, "var/run", "srv")
	write(t, root, path, "")
	write(t, root, "srv/list", "linux-base\n")
	require.NoError(t, os.Symlink("/srv/list", filepath.Join(root, path+".pkgs")))

	f := file(t, root)
	f.Period = time.Millisecond
	w := start(t, f)
	w.await(found + ": linux-base")

	write(t, root, "srv/list", "linux-base\nlibc6\n")
	w.await(found + ": linux-base, libc6")
}

func TestThePackagesThatWantItAreNamed(t *testing.T) {
	t.Parallel()

	root := host(t, "var/run")
	w := start(t, file(t, root))
	w.await("")

	write(t, root, path, "")
	w.await(found)
	write(t, root, path+".pkgs", "linux-base\nlibc6\n\nlinux-base\n")
	w.await(found + ": linux-base, libc6")
	write(t, root, path+".pkgs", "linux-base\nlibc6\nlibssl3t64\ndbus\nsystemd\n")
	w.await(found + ": linux-base, libc6, libssl3t64 and 2 more")
	remove(t, root, path+".pkgs")
	w.await(found)
	require.NoError(t, os.Mkdir(filepath.Join(root, path+".pkgs"), 0o700))
	w.await(found)
}

func TestOthersInTheFolderAreNobodysBusiness(t *testing.T) {
	t.Parallel()

	root := host(t, "var/run")
	w := start(t, file(t, root))
	w.await("")

	for range 100 {
		write(t, root, "var/run/other", "x")
		remove(t, root, "var/run/other")
	}

	write(t, root, path, "")
	w.await(found)
	w.end()
	assert.Empty(t, w.told, "it has looked for nothing")
}
