// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/talos-rebound/rebound/internal/recovery"
)

// podObject is a pod as it is stored, with what only the model knows.
type podObject struct {
	recovery.Pod

	// template is the generation of the DaemonSet that it was made of.
	template int64
	// firstBoot is the boot in which a kubelet first saw it, 0 if none did yet; firstSeen is when.
	firstBoot int
	firstSeen time.Time
	// admittedIn is the run of the kubelet that has admitted it last.
	admittedIn int
}

// endedBy tells why a pod has failed.
func (p *podObject) endedBy() cause {
	switch p.Reason {
	case "Terminated", "NodeShutdown":
		return byShutdown
	case "Evicted", "":
		return byItself
	default:
		return byRejection
	}
}

type cause int

const (
	byItself cause = iota
	byShutdown
	byRejection
)

// change is what a watch tells: the pod as it is after it, nil if it is gone.
type change struct {
	at  time.Time
	uid string
	pod *podObject
}

// server is the API server, with what it stores of this node.
type server struct {
	story
	judge judge

	now  time.Time
	node recovery.Node
	pods map[string]*podObject
	log  []change
	made int

	// late are the UIDs of deletes that are still on their way.
	late []string
	// away is whether it cannot be reached from the node.
	away bool
	// refusesDeletes and refusesCreates have the DaemonSets for whose pods a webhook or a quota is in the way.
	refusesDeletes, refusesCreates map[string]bool
}

func newServer(now time.Time) *server {
	return &server{
		story: story{began: now}, now: now, pods: map[string]*podObject{},
		refusesDeletes: map[string]bool{}, refusesCreates: map[string]bool{},
	}
}

// create stores a new pod, and returns it.
func (s *server) create(pod podObject) *podObject {
	s.made++
	pod.UID = fmt.Sprintf("uid-%d", s.made)
	pod.Name = fmt.Sprintf("%s-%d", pod.Name, s.made)
	pod.Created = s.now.Truncate(time.Second)
	s.pods[pod.UID] = &pod
	s.changed(pod.UID)

	return &pod
}

// changed tells whoever watches.
func (s *server) changed(uid string) {
	var after *podObject

	if pod, ok := s.pods[uid]; ok {
		pod := *pod
		after = &pod
	}

	s.log = append(s.log, change{at: s.now, uid: uid, pod: after})
}

// delete is a request to delete a pod, with the UID as a precondition. One that runs goes only when its kubelet has ended it.
func (s *server) delete(uid string) recovery.Result {
	pod, ok := s.pods[uid]

	switch {
	case !ok:
		return recovery.ResultGone
	case s.refusesDeletes[pod.DaemonSetID()]:
		return recovery.ResultRefused
	case !pod.Deleting && (len(pod.Finalizers) > 0 || !pod.Failed && !pod.Started.IsZero()):
		pod.Deleting = true
		s.changed(uid)
	case pod.Deleting && (len(pod.Finalizers) > 0 || !pod.Failed):
	default:
		s.remove(uid)
	}

	return recovery.ResultDeleted
}

func (s *server) remove(uid string) {
	delete(s.pods, uid)
	s.changed(uid)
}

// podsOf are the pods of a DaemonSet, in a certain order.
func (s *server) podsOf(ds *daemonSet) []*podObject {
	var pods []*podObject

	for _, pod := range s.sorted() {
		if pod.Owner.UID == ds.uid {
			pods = append(pods, pod)
		}
	}

	return pods
}

func (s *server) sorted() []*podObject {
	return slices.SortedFunc(maps.Values(s.pods), func(a, b *podObject) int {
		return cmp.Or(cmp.Compare(len(a.UID), len(b.UID)), strings.Compare(a.UID, b.UID))
	})
}

// story is what has happened, for people, and what was wrong with it.
type story struct {
	began  time.Time
	lines  []string
	broken []string
}

func (s *server) tell(format string, args ...any) {
	s.lines = append(s.lines, fmt.Sprintf("%s  ", s.now.Sub(s.began))+fmt.Sprintf(format, args...))
}

func (s *server) violate(format string, args ...any) {
	s.broken = append(s.broken, fmt.Sprintf(format, args...))
}
