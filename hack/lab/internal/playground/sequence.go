// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package playground

import (
	"context"
	"errors"
	"time"

	"github.com/talos-rebound/rebound/hack/lab/lab"
)

const (
	// maxSteps is how many steps a reboot has at most.
	maxSteps = 8
	// rebootLimit bounds a reboot until the kubelet is healthy.
	rebootLimit = 5 * time.Minute
)

var errTakenDown = errors.New("the lab is being taken down")

// reboot reboots a node and tells what happens.
func (c *control) reboot(node *lab.Node, hard bool, steps chan<- step) {
	began := time.Now()

	tell := func(s step) {
		since := time.Since(began)
		s.Seconds = since.Seconds()

		if s.Error == "" {
			c.log.say("%s: %s", node.Name(), s.Text)
		} else {
			c.log.say("%s: %s", node.Name(), s.Error)
		}

		steps <- s
	}

	err := rebootSequence(c.ctx, node, hard, func(text string) { tell(step{Text: text}) })

	switch {
	case c.ctx.Err() != nil:
		tell(step{Last: true, Error: errTakenDown.Error()})
	case err != nil:
		tell(step{Last: true, Error: err.Error()})
	default:
		tell(step{Last: true, Text: "kubelet is healthy"})
	}
}

// rebootSequence returns when the kubelet is healthy again. A node that is down
// is booted.
func rebootSequence(ctx context.Context, node *lab.Node, hard bool, say func(string)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, rebootLimit, errors.New("not healthy after "+rebootLimit.String()))
	defer cancel()

	if err := shutDown(ctx, node, hard, say); err != nil {
		return err
	}

	say("booting")

	if err := node.Start(ctx); err != nil {
		return err
	}

	say("registered, waiting for its kubelet to be healthy")

	_, err := node.WaitKubeletHealthy(ctx)

	return err
}

func shutDown(ctx context.Context, node *lab.Node, hard bool, say func(string)) error {
	switch {
	case !node.Running():
		say("is down")

		return nil
	case hard:
		say("losing power")

		return node.Kill()
	default:
		say("shutting down")

		return node.Stop(ctx)
	}
}
