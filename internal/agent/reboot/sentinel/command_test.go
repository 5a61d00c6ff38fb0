// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package sentinel_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
	"go.uber.org/zap/zaptest/observer"

	"github.com/talos-rebound/rebound/internal/agent/reboot/sentinel"
)

func command(t *testing.T, text string) *sentinel.Command {
	t.Helper()

	return &sentinel.Command{Command: text, Period: time.Millisecond, Timeout: patience, Logger: zaptest.NewLogger(t)}
}

func TestACommandWantsItWhileItExitsWithZero(t *testing.T) {
	t.Parallel()

	sign := filepath.Join(t.TempDir(), "sign")
	text := "test -e " + sign + " || exit 3"
	w := start(t, command(t, text))
	w.await("")

	require.NoError(t, os.WriteFile(sign, nil, 0o600))
	w.await(`"` + text + `" exited with 0`)
	require.NoError(t, os.Remove(sign))
	w.await("")
}

func TestACommandMaySayNot(t *testing.T) {
	t.Parallel()

	start(t, command(t, "! false")).await(`"! false" exited with 0`)
	start(t, command(t, "! true")).await("")
}

// TestACommandThatCannotAnswerSaysNothing holds that a reboot which is wanted is not withdrawn by an accident.
func TestACommandThatCannotAnswerSaysNothing(t *testing.T) {
	t.Parallel()

	for text, want := range map[string]string{
		"exit 126":              "exit status 126",
		"/nowhere/to-be-found":  "exit status 127",
		"kill -KILL $$":         "signal: killed",
		"while :; do :; done":   "it has not ended within 50ms",
		"(sleep 60) & sleep 60": "it has not ended within 50ms",
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()

			core, logs := observer.New(zap.WarnLevel)
			c := command(t, text)
			c.Logger, c.Timeout = zap.New(core), 50*time.Millisecond

			if want != "it has not ended within 50ms" {
				c.Timeout = patience
			}

			w := start(t, c)

			require.Eventually(t, func() bool { return logs.Len() > 0 }, patience, time.Millisecond)
			w.end()
			assert.Contains(t, logs.All()[0].ContextMap()["error"], want)
			assert.Empty(t, w.told)
		})
	}
}

func TestACommandEndsWithTheAgent(t *testing.T) {
	t.Parallel()

	folder := t.TempDir()
	w := start(t, command(t, "echo $$ > "+folder+"/new && mv "+folder+"/new "+folder+"/started && sleep 600"))

	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(folder, "started"))

		return err == nil
	}, patience, time.Millisecond)
	w.end()
}

func TestRunSaysWhatTheCommandSaid(t *testing.T) {
	t.Parallel()

	require.NoError(t, sentinel.Run(t.Context(), "echo fine"))
	require.EqualError(t, sentinel.Run(t.Context(), "echo first; echo Failed to talk to init daemon. >&2; exit 1"),
		`failed to run "echo first; echo Failed to talk to init daemon. >&2; exit 1": exit status 1: Failed to talk to init daemon.`)
	require.EqualError(t, sentinel.Run(t.Context(), "false"), `failed to run "false": exit status 1`)

	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("no time"))
	require.EqualError(t, sentinel.Run(ctx, "true"), `failed to run "true": no time`)
}

func TestRunDoesNotWaitForWhatIsInTheBackground(t *testing.T) {
	t.Parallel()

	began, file := time.Now(), filepath.Join(t.TempDir(), "pid")

	require.NoError(t, sentinel.Run(t.Context(), "sleep 120 & echo $! > "+file))
	assert.Less(t, time.Since(began), time.Minute)

	text, err := os.ReadFile(file)
	require.NoError(t, err)

	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL), "it goes on by itself")
}
