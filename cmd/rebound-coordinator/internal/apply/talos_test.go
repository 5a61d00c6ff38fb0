// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package apply_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/apply"
	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/talos"
	"github.com/talos-rebound/rebound/internal/reboot"
)

// talosAPI answers as it is told, and says in asked what it was asked.
type talosAPI struct {
	asked                chan string
	check, etcd, restart func(context.Context) error
}

func newTalosAPI() *talosAPI {
	fine := func(context.Context) error { return nil }

	return &talosAPI{asked: make(chan string, 100), check: fine, etcd: fine, restart: fine}
}

func (a *talosAPI) Check(ctx context.Context, node talos.Node) error {
	a.asked <- "check " + node.Name + " " + node.Address

	return a.check(ctx)
}

func (a *talosAPI) EtcdHealth(ctx context.Context, addresses []string) error {
	a.asked <- fmt.Sprint("etcd ", addresses)

	return a.etcd(ctx)
}

func (a *talosAPI) Reboot(ctx context.Context, node talos.Node) error {
	a.asked <- "reboot " + node.Name + " " + node.Address

	return a.restart(ctx)
}

func all(string) bool { return true }

// withTalos runs a test with a Talos that works, on a clock of its own. news counts what was told.
func withTalos(t *testing.T, api *talosAPI, test func(asker *apply.Talos, news *atomic.Int64)) {
	t.Helper()

	synctest.Test(t, func(t *testing.T) {
		var news atomic.Int64

		asker := apply.NewTalos(api, func() { news.Add(1) }, zap.NewNop())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)

		go func() { done <- asker.Start(ctx) }()

		test(asker, &news)
		cancel()
		require.NoError(t, <-done)
	})
}

func hang(ctx context.Context) error {
	<-ctx.Done()

	return ctx.Err()
}

// saying is an error of another type, with words.
type saying struct {
	words string
	kind  error
}

func (s saying) Error() string { return s.words }

func (s saying) Unwrap() error { return s.kind }

func failing(err error) func(context.Context) error {
	return func(context.Context) error { return err }
}

func TestTheAnswerToACheck(t *testing.T) {
	t.Parallel()

	for name, test := range map[string]struct {
		check, etcd   error
		others        []string
		problem, sick string
	}{
		"all is well":                     {nil, nil, []string{"10.0.0.2"}, "", ""},
		"it cannot be used":               {errors.New("no role"), nil, []string{"10.0.0.2"}, "no role", ""},
		"etcd cannot do without it":       {nil, errors.New("alarm"), []string{"10.0.0.2"}, "", "alarm"},
		"nobody else is asked about etcd": {nil, errors.New("not to be asked"), nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			api := newTalosAPI()
			api.check, api.etcd = failing(test.check), failing(test.etcd)

			withTalos(t, api, func(asker *apply.Talos, news *atomic.Int64) {
				asker.Check("a", "10.0.0.1", test.others)
				synctest.Wait()

				assert.Equal(t, reboot.TalosAnswer{CheckedAt: time.Now(), CheckProblem: test.problem, EtcdProblem: test.sick}, asker.Answers(all)["a"])
				assert.EqualValues(t, 1, news.Load())
			})
		})
	}
}

func TestTheAnswerToAReboot(t *testing.T) {
	t.Parallel()

	for name, test := range map[string]struct {
		err  error
		want reboot.TalosAnswer
	}{
		"it reboots":          {nil, reboot.TalosAnswer{}},
		"it refuses":          {saying{"no role", talos.RefusedError{}}, reboot.TalosAnswer{Refused: true, Message: "no role"}},
		"it has not heard it": {saying{"no route", talos.UnsentError{}}, reboot.TalosAnswer{Unsent: true, Message: "no route"}},
		"nobody knows":        {errors.New("broken pipe"), reboot.TalosAnswer{Message: "broken pipe"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			api := newTalosAPI()
			api.restart = failing(test.err)

			withTalos(t, api, func(asker *apply.Talos, _ *atomic.Int64) {
				asker.Reboot("a", "10.0.0.1", "uid/1", false, time.Now().Add(time.Minute))
				synctest.Wait()

				want := test.want
				want.Attempt, want.AskedAt = "uid/1", time.Now()
				assert.Equal(t, want, asker.Answers(all)["a"])
			})
		})
	}
}

func TestItIsKnownWhetherAnEarlierRequestMayHaveBeenHeard(t *testing.T) {
	t.Parallel()

	unsent := saying{"no route", talos.UnsentError{}}

	for name, test := range map[string]struct {
		again  bool
		before []error
		want   bool
	}{
		"the first":                       {false, nil, false},
		"after one that nobody has heard": {false, []error{unsent, unsent}, false},
		"after one that was heard":        {false, []error{nil, unsent}, true},
		"after one of which nobody knows": {false, []error{unsent, errors.New("broken pipe"), unsent}, true},
		"after one of another process":    {true, []error{unsent}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			api := newTalosAPI()

			withTalos(t, api, func(asker *apply.Talos, _ *atomic.Int64) {
				for _, err := range append(test.before, unsent) {
					api.restart = failing(err)
					asker.Reboot("a", "10.0.0.1", "uid/1", test.again, time.Now().Add(time.Minute))
					synctest.Wait()
				}

				assert.Equal(t, test.want, asker.Answers(all)["a"].AskedBefore)

				asker.Reboot("a", "10.0.0.1", "uid/2", false, time.Now().Add(time.Minute))
				assert.False(t, asker.Answers(all)["a"].AskedBefore, "that is another attempt")
			})
		})
	}
}

func TestACheckAndARebootDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()

	api := newTalosAPI()
	api.check = hang

	withTalos(t, api, func(asker *apply.Talos, news *atomic.Int64) {
		asker.Check("a", "10.0.0.1", nil)
		synctest.Wait()
		asker.Reboot("a", "10.0.0.1", "uid/1", false, time.Now().Add(time.Minute))
		asker.Check("b", "10.0.0.2", nil)
		synctest.Wait()

		answer := asker.Answers(all)["a"]
		assert.Equal(t, "uid/1", answer.Attempt)
		assert.False(t, answer.InFlight)
		assert.Zero(t, answer.CheckedAt)
		assert.EqualValues(t, 1, news.Load())
	})
}

func TestAQuestionIsAskedOnceAtATime(t *testing.T) {
	t.Parallel()

	api := newTalosAPI()
	answered := make(chan struct{})
	api.restart = func(context.Context) error { <-answered; return errors.New("broken pipe") }

	withTalos(t, api, func(asker *apply.Talos, _ *atomic.Int64) {
		answered = make(chan struct{})

		asker.Reboot("a", "10.0.0.1", "uid/1", false, time.Now().Add(time.Minute))
		asker.Reboot("a", "10.0.0.1", "uid/1", false, time.Now().Add(time.Minute))
		synctest.Wait()
		assert.Len(t, api.asked, 1)
		assert.True(t, asker.Answers(all)["a"].InFlight)

		close(answered)
		synctest.Wait()
		assert.Equal(t, "broken pipe", asker.Answers(all)["a"].Message)

		api.restart = hang
		asker.Reboot("a", "10.0.0.1", "uid/2", false, time.Now().Add(time.Minute))
		synctest.Wait()

		// What the last attempt came to says nothing about this one.
		answer := asker.Answers(all)["a"]
		assert.Equal(t, "uid/2", answer.Attempt)
		assert.Empty(t, answer.Message)
		assert.Len(t, api.asked, 2)
	})
}

func TestNodesThatAreGoneAreForgotten(t *testing.T) {
	t.Parallel()

	withTalos(t, newTalosAPI(), func(asker *apply.Talos, _ *atomic.Int64) {
		asker.Check("a", "10.0.0.1", nil)
		asker.Check("b", "10.0.0.2", nil)
		synctest.Wait()

		asker.Answers(func(node string) bool { return node == "b" })

		answers := asker.Answers(all)
		assert.NotContains(t, answers, "a")
		assert.Contains(t, answers, "b")
	})
}

func TestNothingIsAskedAfterTheEnd(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()

		// Which of the two is seen first, what is to be done or the end, is a matter of luck.
		for range 20 {
			api := newTalosAPI()
			asker := apply.NewTalos(api, func() {}, zap.NewNop())
			asker.Reboot("a", "10.0.0.1", "uid/1", false, time.Now().Add(time.Minute))

			require.NoError(t, asker.Start(ctx))
			assert.Empty(t, api.asked)
		}
	})
}

func TestARebootIsNotAskedForTooLate(t *testing.T) {
	t.Parallel()

	api := newTalosAPI()

	withTalos(t, api, func(asker *apply.Talos, _ *atomic.Int64) {
		asker.Reboot("a", "10.0.0.1", "uid/1", false, time.Now())
		synctest.Wait()

		assert.Empty(t, api.asked)
		assert.True(t, asker.Answers(all)["a"].Unsent)
	})
}
