// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/talos-rebound/rebound/internal/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// watchLag is the longest that a watch is behind. Beyond that it would have been broken off.
const watchLag = 5 * time.Second

// rebound is the controller of pkg/controllers/recovery, with the real Plan in it: it reads, publishes and applies as that
// one does. Status and daemonSets are the resources, and all that survives a restart; outcomes are kept by the controller.
type rebound struct {
	world    *world
	settings recovery.Settings

	status     specs.RecoveryStatus
	daemonSets map[string]specs.DaemonSetRecovery
	outcomes   []recovery.Outcome

	session *session
	// dirty is whether something has changed since the last pass; wakeAt when the next one is due anyway.
	dirty  bool
	wakeAt time.Time
}

// session is a stay at the API server.
type session struct {
	link       recovery.Link
	syncedBoot time.Time
	// connected is whether the Node was read, listed whether the pods are known.
	connected, listed bool
	// cursor is how much of the server's log was seen, view what it says.
	cursor    int
	view      map[string]*podObject
	deletions []*deletion
	inFlight  map[string]bool
	outcomes  []recovery.Outcome
	// nodeReadAt is when the decision last had the Node read; reads is whether that is still to come.
	nodeReadAt time.Time
	reads      bool
}

// deletion is the delete of one pod, in the background.
type deletion struct {
	pod *podObject
	// answered is whether its outcome is known; then only the event is still to be recorded.
	answered bool
}

// crash is where a pass ends before its time.
type crash int

const (
	noCrash crash = iota
	// beforeRecords is before anything is published, betweenRecords after the first record, beforeStatus after the last one,
	// beforeApply after the status.
	beforeRecords
	betweenRecords
	beforeStatus
	beforeApply
)

// die ends the process.
func (r *rebound) die() { r.session = nil }

// restart begins the controller anew, after a panic or because what it reads could not be read. What is under way is
// cancelled first.
func (r *rebound) restart() {
	r.endSession()
	r.dirty, r.wakeAt = true, time.Time{}
}

// pass reads, plans, publishes and applies.
func (r *rebound) pass(crashes crash) {
	w := r.world
	r.dirty, r.wakeAt = false, time.Time{}
	facts := r.read()
	decision := w.mutant.plan(facts, w.clock())
	w.checkPure(facts, decision)
	w.judge.decided(facts, decision)

	if w.mutant == appliesFirst {
		r.apply(decision)

		for r.proceed(arrives) {
		}
	}

	if crashes = r.publish(decision, crashes); crashes != noCrash {
		w.tell("rebound's controller crashes, and is started again")
		r.restart()

		return
	}

	if !decision.LookAgain.IsZero() {
		r.wakeAt = w.now.Add(decision.LookAgain.Sub(w.clock()))
	}

	r.apply(decision)
}

// checkPure decides once more, with the pods in another order.
func (w *world) checkPure(facts recovery.Facts, decision recovery.Decision) {
	again := facts
	again.DaemonSets = maps.Clone(facts.DaemonSets)
	again.Link.Pods = slices.Clone(facts.Link.Pods)
	slices.Reverse(again.Link.Pods)

	switch {
	case !reflect.DeepEqual(decision, w.mutant.plan(again, w.clock())):
		w.violate("the same facts gave another decision")
	case !maps.Equal(again.DaemonSets, facts.DaemonSets):
		w.violate("deciding has changed the facts")
	}
}

func (r *rebound) read() recovery.Facts {
	w := r.world
	facts := recovery.Facts{
		Settings: r.settings, Boot: w.bootFacts(), Gate: w.gate(), Status: r.status, DaemonSets: maps.Clone(r.daemonSets),
	}

	if s := r.session; s != nil {
		facts.Link = s.link
		if !s.link.SyncedAt.IsZero() {
			facts.Link.SyncedAt = s.link.SyncedAt.Add(facts.Boot.Time.Sub(s.syncedBoot))
		}

		facts.InFlight = maps.Clone(s.inFlight)
		r.outcomes = append(r.outcomes, s.outcomes...)
		s.outcomes = nil
	}

	facts.Outcomes = slices.Clone(r.outcomes)

	return facts
}

// publish writes the records, and then the status.
func (r *rebound) publish(decision recovery.Decision, crashes crash) crash {
	if crashes == beforeRecords {
		return crashes
	}

	r.daemonSets = maps.Clone(r.daemonSets)
	if r.daemonSets == nil {
		r.daemonSets = map[string]specs.DaemonSetRecovery{}
	}

	for _, id := range slices.Sorted(maps.Keys(decision.DaemonSets)) {
		if before, ok := r.daemonSets[id]; ok && before == decision.DaemonSets[id] {
			continue
		}

		r.daemonSets[id] = r.world.mutant.remember(decision.DaemonSets[id])
		r.outcomes = slices.DeleteFunc(r.outcomes, func(o recovery.Outcome) bool { return o.DaemonSet == id })

		if crashes == betweenRecords {
			return crashes
		}
	}

	for id := range r.daemonSets {
		if _, kept := decision.DaemonSets[id]; !kept {
			delete(r.daemonSets, id)
		}
	}

	if crashes == beforeStatus {
		return crashes
	}

	r.status, r.outcomes = decision.Status, nil

	if crashes == betweenRecords { // there was no record to write
		return noCrash
	}

	return crashes
}

func (r *rebound) apply(decision recovery.Decision) {
	switch {
	case !decision.Connect:
		r.endSession()
	case r.session == nil:
		r.session = &session{inFlight: map[string]bool{}}
	}

	s := r.session
	if s == nil {
		return
	}

	if now := r.world.now; decision.ReadNode && s.connected && now.Sub(s.nodeReadAt) >= 4*time.Second {
		s.nodeReadAt, s.reads = now, true
	}

	for _, verdict := range decision.Verdicts {
		if verdict.Action == recovery.ActionDelete && s.connected && !s.inFlight[verdict.Pod.UID] {
			s.inFlight[verdict.Pod.UID] = true
			s.deletions = append(s.deletions, &deletion{pod: &podObject{Pod: verdict.Pod}})
		}
	}
}

// endSession cancels what is under way.
func (r *rebound) endSession() {
	s := r.session
	if s == nil {
		return
	}

	r.session = nil
	s.abandon()
	r.outcomes = append(r.outcomes, s.outcomes...)
	r.dirty = r.dirty || len(r.outcomes) > 0
}

// abandon gives up all deletes.
func (s *session) abandon() {
	for _, d := range s.deletions {
		if !d.answered {
			s.settle(d, recovery.ResultAbandoned, "")
		}
	}

	s.deletions, s.inFlight = nil, map[string]bool{}
}

func (s *session) settle(d *deletion, result recovery.Result, words string) {
	d.answered = true
	s.outcomes = append(s.outcomes, recovery.Outcome{
		DaemonSet: d.pod.DaemonSetID(), PodUID: d.pod.UID, Result: result, Error: words,
	})
}

// breakOff ends the connection. The session makes another one.
func (r *rebound) breakOff(why string) {
	if s := r.session; s != nil {
		s.abandon()
		s.connected, s.listed, s.reads = false, false, false
		s.link = recovery.Link{Error: why}
		r.dirty = true
	}
}

// connect reads the Node of a session without a connection, and has one if the kubelet has registered.
func (r *rebound) connect() bool {
	w, s := r.world, r.session

	switch {
	case s == nil || s.connected:
		return false
	case w.away:
		busy := s.link.Error == ""
		s.link = recovery.Link{Error: "connection refused"}
		r.dirty = r.dirty || busy

		return busy
	}

	if obstacle, _ := r.nodeObstacle(); obstacle != recovery.ObstacleNone {
		busy := s.link.Node != w.node || s.link.Error != ""
		s.link = recovery.Link{Node: w.node}
		r.dirty = r.dirty || busy

		return busy
	}

	s.link.Node, s.connected, r.dirty = w.node, true, true

	return true
}

func (r *rebound) nodeObstacle() (recovery.Obstacle, string) {
	w := r.world

	return recovery.NodeObstacle(r.settings, recovery.Boot{ID: w.bootID()}, worker, w.node)
}

// list makes the pods known as they were some changes ago.
func (r *rebound) list(behind int) bool {
	w, s := r.world, r.session
	if s == nil || !s.connected || s.listed || w.away {
		return false
	}

	s.cursor = max(0, len(w.log)-behind)
	for s.cursor < len(w.log) && w.now.Sub(w.log[s.cursor].at) >= watchLag {
		s.cursor++
	}

	s.view, s.listed = map[string]*podObject{}, true

	for _, change := range w.log[:s.cursor] {
		s.view[change.uid] = change.pod
	}

	s.link.SyncedAt, s.syncedBoot = w.clock(), w.bootFacts().Time
	r.show()

	return true
}

// learn tells of the next changes.
func (r *rebound) learn(changes int) bool {
	s := r.session
	if s == nil || !s.listed || s.cursor == len(r.world.log) || changes == 0 {
		return false
	}

	for ; changes > 0 && s.cursor < len(r.world.log); changes-- {
		next := r.world.log[s.cursor]
		s.view[next.uid] = next.pod
		s.cursor++
	}

	r.show()

	return true
}

// learnInTime tells of what a watch cannot be behind any more.
func (r *rebound) learnInTime() {
	s := r.session
	for s != nil && s.listed && s.cursor < len(r.world.log) && r.world.now.Sub(r.world.log[s.cursor].at) >= watchLag {
		r.learn(1)
	}
}

func (r *rebound) show() {
	s := r.session
	s.link.Error, s.link.Pods = "", nil

	for _, uid := range slices.Sorted(maps.Keys(s.view)) {
		if pod := s.view[uid]; pod != nil {
			s.link.Pods = append(s.link.Pods, pod.Pod)
		}
	}

	r.dirty = true
}

// readNode reads the Node if the decision has asked for that.
func (r *rebound) readNode() bool {
	s := r.session
	if s == nil || !s.reads {
		return false
	}

	s.reads = false

	if r.world.away {
		r.breakOff("connection refused")

		return true
	}

	s.link.Node, r.dirty = r.world.node, true

	return true
}

// answer is what becomes of a request.
type answer int

const (
	arrives answer = iota
	answerLost
	requestLost
	delayed
	breaks
)

// proceed goes on with the delete that was begun first. Its gate is checked once more before it is sent.
func (r *rebound) proceed(answer answer) bool {
	w, s := r.world, r.session
	if s == nil || len(s.deletions) == 0 {
		return false
	}

	d := s.deletions[0]
	r.dirty = true

	if d.answered { // the event is recorded
		s.deletions = s.deletions[1:]
		delete(s.inFlight, d.pod.UID)

		return true
	}

	if obstacle, _ := recovery.LocalObstacle(w.bootFacts(), w.gate()); obstacle != recovery.ObstacleNone && w.mutant != noLocalCheck {
		s.settle(d, recovery.ResultAbandoned, "")

		return true
	}

	if w.away {
		r.breakOff("connection refused")

		return true
	}

	switch obstacle, message := r.nodeObstacle(); {
	case obstacle == recovery.ObstacleNone || w.mutant == noNodeCheck:
	case obstacle == recovery.ObstacleNodeShutdown:
		s.link.Node = w.node
		s.settle(d, recovery.ResultAbandoned, "")

		return true
	default:
		r.breakOff(message)

		return true
	}

	r.send(d, answer)

	return true
}

// send sends the request.
func (r *rebound) send(d *deletion, answer answer) {
	w, s := r.world, r.session
	uid := d.pod.UID
	w.judge.sent(d.pod.Pod)

	switch answer {
	case arrives:
		result := w.delete(uid)
		s.settle(d, result, words[result])
		w.tell("rebound deletes %s: %s", d.pod.Name, results[result])
	case answerLost:
		w.delete(uid)
		result := w.delete(uid) // it is tried once more
		s.settle(d, result, words[result])
		w.tell("rebound deletes %s, and the answer is lost", d.pod.Name)
	case requestLost:
		s.settle(d, recovery.ResultFailed, "timeout")
		w.tell("rebound deletes %s, and the request is lost", d.pod.Name)
	case delayed:
		s.settle(d, recovery.ResultFailed, "timeout")
		w.late = append(w.late, uid)
		w.tell("rebound deletes %s, and the request will arrive later", d.pod.Name)
	case breaks:
		w.delete(uid)
		w.tell("rebound deletes %s, and the connection breaks", d.pod.Name)
		r.breakOff("connection reset")
	}
}

var words = map[recovery.Result]string{recovery.ResultRefused: "denied by a webhook"}

var results = map[recovery.Result]string{
	recovery.ResultDeleted: "done", recovery.ResultGone: "it was gone", recovery.ResultRefused: "refused",
}
