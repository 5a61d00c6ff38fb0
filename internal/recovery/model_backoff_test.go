// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import "time"

// wrong is a mistake of the model about Kubernetes. The replay of what the real ones did must notice each of them.
type wrong string

const (
	right               wrong = ""
	doesNotDouble       wrong = "the back-off of the DaemonSet controller does not double"
	doesNotWait         wrong = "the DaemonSet controller deletes before its back-off has ended"
	doublesTooMuch      wrong = "the back-off of the DaemonSet controller grows fourfold"
	forgetsNoGeneration wrong = "the back-off of the DaemonSet controller outlives an update"
	backsOffFromCreates wrong = "the DaemonSet controller backs off before it creates"
	admitsWhileEnding   wrong = "the kubelet admits pods while it is shutting down"
	rejectsNothing      wrong = "the kubelet rejects no pod whose device is not there"
	endsNothing         wrong = "the kubelet does not end running pods as it shuts down"
)

// The limits of the DaemonSet controller's back-off, as of Kubernetes 1.36 (pkg/controller/daemon, client-go's flowcontrol).
const (
	firstBackOff = time.Second
	maxBackOff   = 15 * time.Minute
)

// backOffKey is for what there is a back-off. Everything here is about one node.
type backOffKey struct {
	daemonSetUID string
	generation   int64
}

// backOffs are the back-offs that the DaemonSet controller keeps in its memory. The zero value has none.
type backOffs struct {
	wrong   wrong
	entries map[backOffKey]backOff
}

type backOff struct {
	delay time.Duration
	since time.Time
}

// of is the entry for the key, or none if there is none that counts: it is forgotten after twice the longest delay.
func (b *backOffs) of(key backOffKey, now time.Time) (backOff, bool) {
	entry, ok := b.entries[b.keyed(key)]

	return entry, ok && now.Sub(entry.since) <= 2*maxBackOff
}

// over is when the next delete may come; zero if one may come at any time.
func (b *backOffs) over(key backOffKey, now time.Time) time.Time {
	entry, ok := b.of(key, now)
	if !ok || b.wrong == doesNotWait {
		return time.Time{}
	}

	return entry.since.Add(entry.delay)
}

// next is a delete.
func (b *backOffs) next(key backOffKey, now time.Time) {
	if b.entries == nil {
		b.entries = map[backOffKey]backOff{}
	}

	delay := firstBackOff

	if entry, ok := b.of(key, now); ok {
		switch b.wrong {
		case doesNotDouble:
			delay = entry.delay
		case doublesTooMuch:
			delay = min(4*entry.delay, maxBackOff)
		default:
			delay = min(2*entry.delay, maxBackOff)
		}
	}

	b.entries[b.keyed(key)] = backOff{delay: delay, since: now}
}

func (b *backOffs) keyed(key backOffKey) backOffKey {
	if b.wrong == forgetsNoGeneration {
		key.generation = 0
	}

	return key
}
