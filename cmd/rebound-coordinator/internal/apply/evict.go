// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package apply

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/talos-rebound/rebound/internal/reboot"
)

const (
	// evictTimeout bounds one try. The API server gives a request 34 s, in which webhooks may be asked.
	evictTimeout = 40 * time.Second
	// queuedActions is how many actions may wait for a worker. What finds no place is due again with the next decision.
	queuedActions = 1000
)

// Evictor makes pods leave, several at a time, and remembers how that went. It is a manager.Runnable: it runs while this
// process is the leader.
type Evictor struct {
	client  client.Client
	workers int
	changed func()
	logger  *zap.Logger
	// queue has the UIDs of pods. What is no longer in waiting is not done when its turn comes.
	queue chan string

	mu      sync.Mutex
	waiting map[string]reboot.PodAction
	tries   map[string]reboot.Eviction
}

// NewEvictor makes an Evictor with a number of workers. It calls changed whenever something has come out.
func NewEvictor(c client.Client, workers int, changed func(), logger *zap.Logger) *Evictor {
	return &Evictor{
		client: c, workers: workers, changed: changed, logger: logger,
		queue: make(chan string, queuedActions), waiting: map[string]reboot.PodAction{}, tries: map[string]reboot.Eviction{},
	}
}

// Start works until ctx is done.
func (e *Evictor) Start(ctx context.Context) error {
	var group errgroup.Group

	for range e.workers {
		group.Go(func() error {
			for ctx.Err() == nil {
				select {
				case <-ctx.Done():
				case uid := <-e.queue:
					if action, ok := e.take(uid); ok {
						e.act(ctx, action)
					}
				}
			}

			return nil
		})
	}

	return group.Wait()
}

// Submit has the action carried out. An action for a pod that is being acted upon is dropped.
func (e *Evictor) Submit(action reboot.PodAction) {
	uid := action.Pod.UID

	e.mu.Lock()
	defer e.mu.Unlock()

	eviction := e.tries[uid]
	if eviction.InFlight {
		return
	}

	select {
	case e.queue <- uid:
		eviction.InFlight = true
		e.tries[uid], e.waiting[uid] = eviction, action
	default:
	}
}

// take returns the action for a pod, unless that is no longer wanted.
func (e *Evictor) take(uid string) (reboot.PodAction, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()

	action, ok := e.waiting[uid]
	delete(e.waiting, uid)

	return action, ok
}

// Evictions returns what is known of the pods for which it is asked. The rest is forgotten, and what has not begun is not
// begun any more: the node of such a pod is being given back.
func (e *Evictor) Evictions(asked func(uid string) bool) map[string]reboot.Eviction {
	e.mu.Lock()
	defer e.mu.Unlock()

	maps.DeleteFunc(e.tries, func(uid string, eviction reboot.Eviction) bool {
		_, waits := e.waiting[uid]

		return !asked(uid) && (waits || !eviction.InFlight)
	})
	maps.DeleteFunc(e.waiting, func(uid string, _ reboot.PodAction) bool { return !asked(uid) })

	return maps.Clone(e.tries)
}

func (e *Evictor) act(ctx context.Context, action reboot.PodAction) {
	message := ""

	if err := e.send(ctx, action); err != nil {
		message = words(err)
	}

	// Nobody knows then what came of it, and nobody asks.
	if ctx.Err() != nil {
		return
	}

	e.mu.Lock()
	eviction := e.tries[action.Pod.UID]
	news := eviction.Message != message
	e.tries[action.Pod.UID] = reboot.Eviction{Tries: eviction.Tries + 1, LastAt: time.Now(), Message: message}
	e.mu.Unlock()

	fields := []zap.Field{
		zap.String("namespace", action.Pod.Namespace), zap.String("pod", action.Pod.Name),
		zap.Bool("delete", action.Delete), zap.Bool("forced", action.Forced),
	}

	switch {
	case message == "":
		e.logger.Info("asked a pod to leave", fields...)
	case news:
		e.logger.Info("a pod cannot leave", append(fields, zap.String("problem", message))...)
	}

	e.changed()
}

// send evicts or deletes the pod, if it is still the one that was seen. That it is gone is success.
func (e *Evictor) send(ctx context.Context, action reboot.PodAction) error {
	ctx, cancel := context.WithTimeout(ctx, evictTimeout)
	defer cancel()

	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: action.Pod.Namespace, Name: action.Pod.Name}}
	uid := types.UID(action.Pod.UID)
	options := metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &uid}, GracePeriodSeconds: action.GracePeriodSeconds,
	}

	var err error

	if action.Delete {
		err = e.client.Delete(ctx, pod, &client.DeleteOptions{
			Preconditions: options.Preconditions, GracePeriodSeconds: options.GracePeriodSeconds,
		})
	} else {
		err = e.client.SubResource("eviction").Create(ctx, pod, &policyv1.Eviction{
			ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name}, DeleteOptions: &options,
		})
	}

	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}

	return err
}

// words are what the API server said. Of a budget that is in the way, it names that only among the causes.
func words(err error) string {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return err.Error()
	}

	text := status.Status().Message

	if details := status.Status().Details; details != nil {
		for _, cause := range details.Causes {
			if cause.Message != "" && !strings.Contains(text, cause.Message) {
				text += " " + cause.Message
			}
		}
	}

	return fmt.Sprintf("%s (%d)", text, status.Status().Code)
}
