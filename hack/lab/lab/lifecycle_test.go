// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/hack/lab/component"
	"github.com/talos-rebound/rebound/hack/lab/internal/labtest"
	"github.com/talos-rebound/rebound/hack/lab/lab"
)

func TestLabLeavesNothingBehind(t *testing.T) {
	temp := tempFolder(t)

	cluster, err := lab.Start(within(t, startTimeout))
	require.NoError(t, err)

	folder := cluster.Folder()
	assert.Len(t, labtest.Processes(t, folder), 5, "four components and the janitor")

	_, err = cluster.AddNode(within(t, time.Minute), "worker-1")
	require.NoError(t, err)

	assert.Len(t, labtest.Processes(t, folder), 7, "and the node with its kubelet")

	require.NoError(t, cluster.Close())
	assert.Empty(t, leftIn(t, temp))

	require.NoError(t, cluster.Close(), "a lab can be closed twice")
}

func TestLabThatFailsToStartLeavesNothingBehind(t *testing.T) {
	for _, test := range []struct {
		component component.Name
		flag      string
		words     string
	}{
		{component.Etcd, "--data-dir=/proc/nowhere", "/proc/nowhere"},
		{component.Scheduler, "--no-such-flag", "unknown flag"},
	} {
		t.Run(string(test.component), func(t *testing.T) {
			temp := tempFolder(t)

			_, err := lab.Start(within(t, startTimeout), lab.WithFlags(test.component, test.flag))

			require.ErrorContains(t, err, string(test.component)+" ended: exit status")
			require.ErrorContains(t, err, test.words, "the error carries the end of the component's log")
			assert.Empty(t, leftIn(t, temp))
		})
	}
}

func TestNodeWithATooLongPathSaysSo(t *testing.T) {
	t.Parallel()

	_, err := shared(t).AddNode(t.Context(), strings.Repeat("x", 60))
	require.ErrorContains(t, err, "choose a shorter folder")
}

func TestLabThatIsEndedLeavesNothingBehind(t *testing.T) {
	for _, test := range []struct {
		name   string
		signal os.Signal
	}{
		{"by Ctrl-C", os.Interrupt},
		{"by SIGKILL", os.Kill},
	} {
		t.Run(test.name, func(t *testing.T) {
			temp := tempFolder(t)
			victim := startVictim(t)

			require.NotEmpty(t, labtest.Processes(t, temp))
			require.NoError(t, victim.Process.Signal(test.signal))

			victim.Wait() //nolint:errcheck // killed, or ended by a cancelled context

			require.Eventually(t, func() bool {
				return len(leftIn(t, temp)) == 0
			}, 30*time.Second, 100*time.Millisecond, "children see the end of their lifelines; the janitor sees to the rest")
		})
	}
}

const victimEnvironment = "LAB_TEST_VICTIM"

// runVictimIfAsked makes this process a program that starts a lab, says so,
// and waits for a signal.
func runVictimIfAsked() bool {
	if os.Getenv(victimEnvironment) == "" {
		return false
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	cluster, err := lab.Start(ctx)
	if err != nil {
		fmt.Println(err)

		return true
	}

	if _, err = cluster.AddNode(ctx, "worker-1"); err == nil {
		fmt.Println("ready")

		<-ctx.Done()
	}

	if err = errors.Join(err, cluster.Close()); err != nil {
		fmt.Println(err)
	}

	return true
}

func startVictim(t *testing.T) *exec.Cmd {
	t.Helper()

	self, err := os.Executable()
	require.NoError(t, err)

	victim := exec.Command(self)
	victim.Env = append(os.Environ(), victimEnvironment+"=1")
	// As in a terminal: a group of its own, and Ctrl-C is for the group.
	victim.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}

	var output labtest.Screen

	victim.Stdout = &output

	require.NoError(t, victim.Start())
	require.NoError(t, output.Await(within(t, startTimeout), "ready\n"))

	return victim
}

// tempFolder returns a folder in which the test's labs have their state. Its
// path is short: unix sockets lie below it.
func tempFolder(t *testing.T) string {
	t.Helper()

	folder, err := os.MkdirTemp("", "lab-test-") //nolint:usetesting // t.TempDir is too long
	require.NoError(t, err)

	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(folder)) })
	t.Setenv("TMPDIR", folder)

	return folder
}

// leftIn returns what labs with their state in the folder have left behind:
// files, and processes.
func leftIn(t *testing.T, folder string) []string {
	t.Helper()

	left := labtest.Processes(t, folder)

	entries, err := os.ReadDir(folder)
	require.NoError(t, err)

	for _, entry := range entries {
		left = append(left, entry.Name())
	}

	return left
}
