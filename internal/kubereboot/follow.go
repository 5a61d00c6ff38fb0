// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kubereboot

import (
	"context"
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

const (
	// relistInterval is how often the NodeReboots are listed in addition to watching them: a server that has gone without a
	// word ends no watch.
	relistInterval = 30 * time.Second
	// retryDelay is the time before they are listed again after a request has failed or a watch has broken off.
	retryDelay = time.Second
)

// Follow calls seen with all NodeReboots, first as they are and then after every change, until it returns true. It calls
// trouble with the reason whenever they cannot be listed, and tries again: the API server may be on a node that reboots.
//
// The error is that of ctx.
func (c *Client) Follow(ctx context.Context, seen func([]v1alpha1.NodeReboot) (done bool), trouble func(error)) error {
	for {
		list, err := c.list(ctx)

		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			trouble(err)
		case seen(list.Items):
			return nil
		default:
			done, again := c.watch(ctx, list, seen)

			switch {
			case done:
				return nil
			case again:
				continue
			}
		}

		select {
		case <-ctx.Done():
		case <-time.After(retryDelay):
		}
	}
}

// watch follows the NodeReboots from a list on. It returns whether seen was true and, if not, whether it is merely time to
// list them again.
func (c *Client) watch(ctx context.Context, list *v1alpha1.NodeRebootList, seen func([]v1alpha1.NodeReboot) bool) (done, again bool) {
	ctx, cancel := context.WithTimeout(ctx, relistInterval)
	defer cancel()

	watcher, err := c.reboots.Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if err != nil {
		return false, ctx.Err() != nil // the next list says why
	}
	defer watcher.Stop()

	reboots := map[string]v1alpha1.NodeReboot{}
	for _, reboot := range list.Items {
		reboots[reboot.Name] = reboot
	}

	for {
		select {
		case <-ctx.Done():
			return false, true
		case event := <-watcher.ResultChan():
			reboot, ok := event.Object.(*v1alpha1.NodeReboot)

			switch {
			case !ok: // an error, or the end
				return false, ctx.Err() != nil
			case event.Type == watch.Deleted:
				delete(reboots, reboot.Name)
			default:
				reboots[reboot.Name] = *reboot
			}

			if seen(slices.Collect(maps.Values(reboots))) {
				return true, false
			}
		}
	}
}
