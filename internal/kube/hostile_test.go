// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kube_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"github.com/talos-rebound/rebound/internal/ctest"
	"github.com/talos-rebound/rebound/internal/kube"
)

func TestWhatAPodSaysIsBoundedAndPrintable(t *testing.T) {
	t.Parallel()

	hostile := pod(func(p *corev1.Pod) {
		p.Status.Phase, p.Status.Reason, p.Status.Message = corev1.PodFailed, ctest.Hostile(), ctest.Hostile()
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: ctest.Hostile()}},
		}}

		for range 1000 {
			p.Finalizers = append(p.Finalizers, ctest.Hostile()[:200])
		}
	})

	trimmed, err := kube.Trim(hostile)
	require.NoError(t, err)
	ctest.AssertPrintable(t, trimmed.(*corev1.Pod).Status.Reason, 128)
	ctest.AssertPrintable(t, trimmed.(*corev1.Pod).Status.Message, 1024)

	facts := kube.FactsOf(hostile)
	ctest.AssertPrintable(t, facts.Reason, 128)
	ctest.AssertPrintable(t, facts.Message, 1024)
	ctest.AssertPrintable(t, facts.Summary, 128)
	ctest.AssertPrintable(t, fmt.Sprint(facts.Finalizers), 5*130)
	assert.Len(t, facts.Finalizers, 5)
}

func TestWhatAnErrorSaysIsBoundedAndPrintable(t *testing.T) {
	t.Parallel()

	said := kube.Describe(errors.New(ctest.Hostile()))
	ctest.AssertPrintable(t, said, 1024)
	assert.Contains(t, said, "https://proxy.example.org")
}

func TestAnEventIsBoundedAndPrintable(t *testing.T) {
	t.Parallel()

	requests := make(chan received, 1)
	client := serve(t, receiving(requests, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusCreated, &corev1.Event{})
	})).open(t)

	require.NoError(t, client.RecordDeletion(t.Context(), failed, ctest.Hostile(), time.Now()))

	var event corev1.Event

	got := receive(t, requests, "the request")
	got.decode(t, &event)
	ctest.AssertPrintable(t, event.Message, 1024)
}
