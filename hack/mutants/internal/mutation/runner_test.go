// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package mutation_test

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/hack/mutants/internal/mutation"
)

func TestAMutant(t *testing.T) {
	t.Parallel()

	hangs := knock("select {}")
	hangs.Hangs = true

	for _, tc := range []struct {
		name  string
		row   mutation.Row
		limit time.Duration
		want  mutation.Verdict
	}{
		{"is killed by a test that fails", door("inside < 0", "TestADoor"), time.Minute, mutation.VerdictKilled},
		{"is killed by a subtest that fails", door("inside < 4", "TestADoor/is closed for four"), time.Minute, mutation.VerdictKilled},
		{"is killed by a test that panics", knock(`panic("no")`), time.Minute, mutation.VerdictKilled},
		{
			"is killed in a module of its own",
			mutation.Row{Name: "wall", File: "inner/wall/wall.go", Old: "true", New: "false", Test: "TestAWall"},
			time.Minute, mutation.VerdictKilled,
		},
		{"survives a test that passes", knock("_ = 1"), time.Minute, mutation.VerdictSurvived},
		{"survives a subtest beside the one that fails", door("inside < 4", "TestADoor/is open for three"), time.Minute, mutation.VerdictSurvived},
		{"survives a subtest below the one that fails", door("inside < 3 && inside >= 0", "TestADoor/is open for three"), time.Minute, mutation.VerdictSurvived},
		{"is broken if it does not compile", knock("nobody.Opens()"), time.Minute, mutation.VerdictBroken},
		{"is late if its test does not end", knock("for { select {} }"), 5 * time.Second, mutation.VerdictLate},
		{"is killed by that if so is wanted", hangs, 5 * time.Second, mutation.VerdictKilled},
		{"has died if its test says nothing", func() mutation.Row {
			row := knock("os.Exit(3)")
			row.Old, row.New = "package door\n", "package door\n\nimport \"os\"\n\nfunc init() { os.Exit(3) }\n"

			return row
		}(), time.Minute, mutation.VerdictDied},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			source := tiny(t)
			before := files(t, source)

			var noted []mutation.Result

			r := runner(source)
			r.Limit, r.Note = tc.limit, func(result mutation.Result) { noted = append(noted, result) }

			results, err := r.Run(t.Context(), []mutation.Row{tc.row})
			require.NoError(t, err)
			require.Len(t, results, 1)
			assert.Equal(t, tc.want, results[0].Verdict, results[0].Output)
			assert.Equal(t, tc.want == mutation.VerdictKilled, mutation.AllKilled(results))
			assert.Equal(t, tc.row, results[0].Row)
			assert.Equal(t, results, noted)
			assert.Equal(t, before, files(t, source), "the repository itself is left alone")
		})
	}
}

func TestMutantsDoNotAddUp(t *testing.T) {
	t.Parallel()

	first, second := door("inside < 0", "TestADoor"), knock("_ = 1")
	second.Test = "TestADoor"

	r := runner(tiny(t))
	results, err := r.Run(t.Context(), []mutation.Row{first, second})
	require.NoError(t, err)
	require.Len(t, results, 2)
	assert.Equal(t, mutation.VerdictKilled, results[0].Verdict)
	assert.Equal(t, mutation.VerdictSurvived, results[1].Verdict, results[1].Output)
}

func TestResultsAreInTheOrderOfTheRows(t *testing.T) {
	t.Parallel()

	wall := mutation.Row{Name: "wall", File: "inner/wall/wall.go", Old: "true", New: "false", Test: "TestAWall"}
	rows := []mutation.Row{wall, door("inside < 0", "TestADoor"), knock("_ = 1")}

	r := runner(tiny(t))
	r.Workers = 2

	results, err := r.Run(t.Context(), rows)
	require.NoError(t, err)

	for i := range rows {
		assert.Equal(t, rows[i], results[i].Row)
	}
}

func TestWhatIsNotCommittedCounts(t *testing.T) {
	t.Parallel()

	source := tiny(t)
	git(t, source, "add", "--all")

	// A file that is gone, and one that has changed.
	require.NoError(t, os.RemoveAll(filepath.Join(source, "inner")))
	require.NoError(t, os.WriteFile(filepath.Join(source, "door", "door.go"), []byte("package door\n\nfunc Open(int) bool { return true }\n\nfunc Knock() {\n}\n"), 0o600))

	_, err := runner(source).Run(t.Context(), []mutation.Row{{
		Name: "door", File: "door/door.go", Old: "true", New: "false", Test: "TestADoor/is closed for four",
	}})
	assert.ErrorContains(t, err, `row "door": without the change, test "TestADoor/is closed for four" of door does not pass`)
}

func TestATestThatDoesNotPassAnywayKillsNothing(t *testing.T) {
	t.Parallel()

	for name, test := range map[string]string{
		"as it always fails": "TestAWreck", "as it is skipped": "TestNothing", "as it has no such subtest": "TestAKnock/is closed for four",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			row := knock("_ = 1")
			row.Test = test

			_, err := runner(tiny(t)).Run(t.Context(), []mutation.Row{row})
			assert.ErrorContains(t, err, `row "knock": without the change, test "`+test+`" of door does not pass`)
		})
	}
}

// The mutant calls this test, and waits for an answer.
func TestAnInterruptLeavesNothingBehind(t *testing.T) {
	scratch := t.TempDir()
	t.Setenv("TMPDIR", scratch)

	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)

	defer func() { require.NoError(t, listener.Close()) }()

	t.Setenv("CALLS", listener.Addr().String())

	row := knock("")
	row.Old = "package door\n"
	row.New = "package door\n\nimport (\n\t\"net\"\n\t\"os\"\n)\n\n" +
		"func init() {\n\tc, _ := net.Dial(\"tcp\", os.Getenv(\"CALLS\"))\n\t_, _ = c.Read(make([]byte, 1))\n}\n"

	source := tiny(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)

	go func() {
		r := runner(source)
		r.Limit = time.Hour

		_, err := r.Run(ctx, []mutation.Row{row})
		ended <- err
	}()

	connection, err := listener.Accept()
	require.NoError(t, err)

	defer func() { require.NoError(t, connection.Close()) }()

	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)

	_, err = connection.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF, "the test has ended as well")

	left, err := os.ReadDir(scratch)
	require.NoError(t, err)
	assert.Empty(t, left)
}
