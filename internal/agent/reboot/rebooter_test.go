// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package reboot_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/internal/agent/reboot"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

func TestAnAgentSaysAtOnceThatItIsThere(t *testing.T) {
	run(t, func(h *host) {
		assert.Empty(h, h.reports, "there is no Node yet")

		h.annotates("theirs", "1")
		assert.Equal(h, []v1alpha1.AgentReport{{BootID: thisBoot}}, h.reports)

		h.says(false, "")
		h.annotates("theirs", "2")
		h.after(time.Hour)
		assert.Len(h, h.reports, 1, "there is nothing new")
		assert.Equal(h, reboot.Status{}, h.status)
	})
}

func TestAWishIsToldAsItComesAndGoes(t *testing.T) {
	run(t, func(h *host) {
		h.annotates("theirs", "1")
		h.after(time.Minute)
		h.says(true, "kernel")

		since := h.start.Add(time.Minute).UTC()
		want := v1alpha1.AgentReport{BootID: thisBoot, Wanted: true, WantedSince: since, Reason: "kernel"}
		assert.Equal(h, want, h.said())
		assert.Equal(h, reboot.Status{Wanted: true, Since: since}, h.status)

		h.after(time.Hour)
		h.says(true, "kernel and libc")

		want.Reason = "kernel and libc"
		assert.Equal(h, want, h.said(), "it is still the same wish")

		h.after(time.Hour)
		h.says(false, "")
		assert.Equal(h, v1alpha1.AgentReport{BootID: thisBoot}, h.said())
		assert.Empty(h, h.reboots, "a wish is no grant")
		assert.Equal(h, 1, h.logged("the machine wants to be rebooted"))
	})
}

func TestAWishThatComesAndGoesIsNotWritten(t *testing.T) {
	run(t, func(h *host) {
		h.annotates("theirs", "1")

		for range 100 {
			h.says(true, "kernel")
			h.says(false, "")
		}

		h.says(true, "kernel")
		assert.Len(h, h.reports, 1)
		h.after(time.Second)
		assert.Len(h, h.reports, 2)
		assert.True(h, h.said().Wanted)
	})
}

func TestAWishSurvivesARestartOfTheAgent(t *testing.T) {
	before := v1alpha1.AgentReport{BootID: thisBoot, Wanted: true, WantedSince: at, Reason: "kernel"}

	run(t, func(h *host) {
		assert.Empty(h, h.reports, "it is not known yet whether anything has changed")
		assert.Equal(h, reboot.Status{Wanted: true, Since: at}, h.status)

		h.says(true, "kernel")
		h.after(time.Hour)
		assert.Empty(h, h.reports)
	}, func(h *host) { h.annotates(v1alpha1.AgentAnnotation, before.String()) })
}

func TestAGrantRebootsTheMachineOnce(t *testing.T) {
	run(t, func(h *host) {
		h.annotates("theirs", "1")
		h.after(time.Minute)
		h.grants(grant.String())
		assert.Equal(h, []time.Duration{time.Minute}, h.reboots)
		assert.True(h, h.status.Granted)

		for range 10 {
			h.annotates("theirs", "2")
			h.says(true, "kernel")
		}

		h.after(5*time.Minute - time.Millisecond)
		assert.Len(h, h.reboots, 1, "it goes down by itself")
		assert.Empty(h, h.said().Problem)

		h.after(time.Second)
		assert.Equal(h, []time.Duration{time.Minute, 6 * time.Minute}, h.reboots, "it has not gone down")
		assert.Contains(h, h.said().Problem, "the machine was still up after its reboot had been agreed to")
		assert.Equal(h, 2, h.logged("rebooting the machine"))
	})
}

func TestAGrantForAnotherBootDoesNothing(t *testing.T) {
	run(t, func(h *host) {
		h.after(time.Hour)
		assert.Empty(h, h.reboots)
		assert.False(h, h.status.Granted)
		assert.Equal(h, 1, h.logged("the grant on the node does not count"))
		assert.Equal(h, v1alpha1.AgentReport{BootID: thisBoot}, h.said())
	}, func(h *host) { h.grants(v1alpha1.Grant{UID: "a", BootID: lastBoot}.String()) })
}

// TestTheBootIsReadWhenItCounts holds for a machine whose process has been kept, as that of a virtual machine may be.
func TestTheBootIsReadWhenItCounts(t *testing.T) {
	run(t, func(h *host) {
		h.annotates("theirs", "1")
		h.change(func() { h.bootID = lastBoot })
		h.grants(grant.String())
		assert.Empty(h, h.reboots)

		h.change(func() { h.bootID, h.bootErr = thisBoot, errors.New("half of it was read") })
		h.grants(v1alpha1.Grant{UID: "a"}.String())
		h.grants(grant.String())
		h.after(time.Hour)
		assert.Empty(h, h.reboots)
		assert.Equal(h, 1, h.logged("cannot tell which boot this is, so no grant can count"))

		h.change(func() { h.bootID, h.bootErr = thisBoot, nil })
		h.grants(grant.String())
		assert.Len(h, h.reboots, 1)
	})
}

func TestAGrantThatCannotBeReadIsLoggedOnce(t *testing.T) {
	run(t, func(h *host) {
		h.grants("{")

		for range 10 {
			h.annotates("theirs", "1")
			h.after(time.Minute)
		}

		assert.Empty(h, h.reboots)
		assert.Equal(h, 1, h.logged("the grant on the node does not count"))
	})
}

func TestARebootThatFailsIsTriedAgainAndSaysWhy(t *testing.T) {
	run(t, func(h *host) {
		h.grants(grant.String())
		h.after(time.Second) // the least time between two reports
		assert.Equal(h, "no bus", h.said().Problem)

		h.after(time.Hour)

		require.Greater(h, len(h.reboots), 10)

		gaps := make([]time.Duration, 0, len(h.reboots))
		for i := range h.reboots[1:] {
			gaps = append(gaps, (h.reboots[i+1] - h.reboots[i]).Round(time.Second))
		}

		assert.Equal(h, []time.Duration{
			5 * time.Second, 10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 160 * time.Second, 300 * time.Second, 300 * time.Second,
		}, gaps[:8])
		assert.Len(h, h.reports, 2, "it is the same problem")

		h.change(func() { h.rebootErr = nil })
		h.after(5 * time.Minute)
		assert.Empty(h, h.said().Problem)
	}, func(h *host) { h.rebootErr = errors.New("no bus") })
}

func TestARebootThatCouldNotWorkIsToldBeforehand(t *testing.T) {
	run(t, func(h *host) {
		h.annotates("theirs", "1")
		h.after(time.Second)
		assert.Equal(h, "no bus", h.said().Problem)
		assert.Empty(h, h.reboots)

		h.after(time.Hour)
		assert.Len(h, h.reports, 1, "it is the same problem")
		assert.Equal(h, 1, h.logged("cannot reboot the machine, so the coordinator is told to grant none"))

		h.change(func() { h.checkErr = nil })
		h.after(time.Minute)
		assert.Empty(h, h.said().Problem)
	}, func(h *host) { h.checkErr = errors.New("no bus") })
}

func TestARebootThatHangsIsGivenUp(t *testing.T) {
	run(t, func(h *host) {
		h.grants(grant.String())
		h.says(true, "kernel")
		h.after(time.Minute)
		assert.True(h, h.said().Wanted, "the rest goes on")
		assert.Len(h, h.reboots, 1)

		h.after(4*time.Minute + time.Second)
		assert.Equal(h, "no answer within 5m0s", h.said().Problem)

		h.after(4 * time.Second)
		assert.Len(h, h.reboots, 2, "and the agent ends although it hangs again")
	}, func(h *host) { h.rebootErr = errHangs })
}

func TestAGrantIsSeenWithoutAWatch(t *testing.T) {
	run(t, func(h *host) {
		h.after(24 * time.Hour)
		assert.Greater(h, h.connects, 24*60, "with the credentials as they are then")
		assert.Less(h, h.connects, 2*24*60*2)
		assert.Equal(h, 1, h.logged("cannot watch the node for a grant"))

		h.grants(grant.String())
		h.after(40 * time.Second)
		assert.Len(h, h.reboots, 1)
	}, func(h *host) {
		h.deaf = true
		h.annotates("theirs", "1")
	})
}

// TestAnAnswerDoesNotHideAGrantThatCameAfterIt has the watch tell of a grant while the answer to a report is under way.
func TestAnAnswerDoesNotHideAGrantThatCameAfterIt(t *testing.T) {
	run(t, func(h *host) {
		h.annotates("theirs", "1")
		require.Len(h, h.reports, 1)

		h.grants(grant.String())
		h.after(2 * time.Second)
		assert.Len(h, h.reboots, 1)
	}, func(h *host) { h.answers = time.Second })
}

// TestAnOlderNodeIsTakenAfterARestore holds that versions that go back do not hide a grant.
func TestAnOlderNodeIsTakenAfterARestore(t *testing.T) {
	run(t, func(h *host) {
		require.Len(h, h.reports, 1)

		h.change(func() { h.version = 1 })
		h.grants(grant.String())
		h.after(40 * time.Second)
		assert.Len(h, h.reboots, 1)
	}, func(h *host) {
		h.deaf, h.version = true, 1000
		h.annotates("theirs", "1")
	})
}

// TestOldNewsIsNoReasonToWriteAgain has the watch tell of the Node as it was before the report.
func TestOldNewsIsNoReasonToWriteAgain(t *testing.T) {
	run(t, func(h *host) {
		h.annotates("theirs", "1")

		before := h.node.DeepCopy()
		h.after(time.Minute)
		h.says(true, "kernel")
		require.Len(h, h.reports, 2)

		h.news <- before
		h.after(time.Minute)
		assert.Len(h, h.reports, 2)
	})
}

func TestAReportThatFailsIsWrittenLater(t *testing.T) {
	run(t, func(h *host) {
		h.says(true, "kernel")
		h.after(time.Hour)
		assert.Empty(h, h.reports)
		assert.Equal(h, 1, h.logged("cannot tell on the node whether a reboot is wanted"))

		h.grants(grant.String())
		assert.Len(h, h.reboots, 1, "a grant does not wait for it")

		h.change(func() { h.writeErr = nil })
		h.after(time.Minute)
		assert.True(h, h.said().Wanted)
	}, func(h *host) {
		h.writeErr = errors.New("not now")
		h.annotates("theirs", "1")
	})
}

func TestAReportThatSomebodyTookAwayIsWrittenAgain(t *testing.T) {
	run(t, func(h *host) {
		h.annotates("theirs", "1")
		h.after(time.Minute)
		h.annotates(v1alpha1.AgentAnnotation, "{}")
		assert.Len(h, h.reports, 2)
	})
}

func TestADryRunDoesNothingButSayWhatItWould(t *testing.T) {
	run(t, func(h *host) {
		h.says(true, "kernel")
		h.grants(grant.String())

		for range 10 {
			h.annotates("theirs", "1")
			h.after(time.Minute)
		}

		assert.Empty(h, h.reports)
		assert.Empty(h, h.reboots)
		assert.Equal(h, 1, h.logged("would reboot the machine"))
		assert.Equal(h, 1, h.logged("would report on the node"))
	}, func(h *host) { h.rebooter.DryRun = true })
}
