// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package component_test

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/talos-rebound/rebound/hack/lab/component"
	"github.com/talos-rebound/rebound/hack/lab/internal/labtest"
)

func TestMain(m *testing.M) {
	component.RunIfAsked()

	labtest.RequireKubernetes(filepath.Join("..", "..", ".."))

	os.Exit(m.Run())
}

// removed is the operation of an update whose pods are gone.
const removed = "remove"

// staticPod is what the kubelet makes of a static pod.
type staticPod struct {
	Pod          *corev1.Pod
	Static       bool
	NodeCritical bool
	Invalid      []string
}

// update is one thing that a kubelet would act on.
type update struct {
	ID   string
	Op   string
	Pods []staticPod
}

// reader is the part of a kubelet that reads static pods, one for all tests. It
// goes on until they end: a kubelet has no way to stop a source.
type reader struct {
	mu      sync.Mutex
	in      io.Writer
	updates map[string]chan update
}

// openReader starts the kubelet's part. It ends with its input, and that with this
// process.
var openReader = sync.OnceValues(func() (*reader, error) {
	path, err := component.Kubernetes()
	if err != nil {
		return nil, err
	}

	cmd := exec.Command(path, string(component.StaticPods), "--hostname-override="+nodeName) //nolint:noctx // as said

	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}

	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}

	if err = cmd.Start(); err != nil {
		return nil, err
	}

	opened := &reader{in: in, updates: map[string]chan update{}}

	go opened.read(out)

	return opened, nil
})

// read gives every update to whose it is.
func (r *reader) read(out io.Reader) {
	for decoder := json.NewDecoder(bufio.NewReader(out)); ; {
		var next update
		if decoder.Decode(&next) != nil {
			return
		}

		r.mu.Lock()
		updates := r.updates[next.ID]
		r.mu.Unlock()

		updates <- next
	}
}

// add adds a source, and returns its updates.
func (r *reader) add(source map[string]string) (<-chan update, error) {
	r.mu.Lock()
	defer r.mu.Unlock()

	source["id"] = strconv.Itoa(len(r.updates))
	updates := make(chan update, 100)
	r.updates[source["id"]] = updates

	return updates, json.NewEncoder(r.in).Encode(source)
}

// sources is a source of static pods, and what the kubelet makes of it.
type sources struct {
	updates <-chan update
	pods    map[types.UID]staticPod
}

func newSources(t *testing.T) *sources {
	t.Helper()

	return &sources{pods: map[types.UID]staticPod{}}
}

func (s *sources) folder(t *testing.T, folder string) {
	t.Helper()
	s.add(t, map[string]string{"folder": folder})
}

func (s *sources) list(t *testing.T, url string) {
	t.Helper()
	s.add(t, map[string]string{"url": url})
}

func (s *sources) add(t *testing.T, source map[string]string) {
	t.Helper()

	reader, err := openReader()
	require.NoError(t, err)

	s.updates, err = reader.add(source)
	require.NoError(t, err)
}

// next is the next thing that the kubelet would act on.
func (s *sources) next(t *testing.T) update {
	t.Helper()

	select {
	case next := <-s.updates:
		for _, made := range next.Pods {
			if next.Op == removed {
				delete(s.pods, made.Pod.UID)
			} else {
				s.pods[made.Pod.UID] = made
			}
		}

		return next
	case <-time.After(sourceTimeout):
		require.FailNow(t, "the kubelet took nothing", "it has %d pods", len(s.pods))

		return update{}
	}
}

func (s *sources) awaitPods(t *testing.T, enough func(pods []staticPod) bool) {
	t.Helper()

	for {
		pods := make([]staticPod, 0, len(s.pods))

		for _, pod := range s.pods {
			pods = append(pods, pod)
		}

		if enough(pods) {
			return
		}

		s.next(t)
	}
}

func (s *sources) await(t *testing.T, name string) staticPod {
	t.Helper()

	s.awaitPods(t, func([]staticPod) bool { return s.byName()[name].Pod != nil })

	return s.byName()[name]
}

func (s *sources) byName() map[string]staticPod {
	pods := map[string]staticPod{}

	for _, made := range s.pods {
		pods[made.Pod.Name] = made
	}

	return pods
}
