// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/cosi-project/runtime/pkg/controller"
	"github.com/siderolabs/gen/optional"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
	"github.com/siderolabs/talos/pkg/machinery/resources/v1alpha1"
	"go.uber.org/zap"

	"github.com/talos-rebound/rebound/internal/recovery"
	recoveryres "github.com/talos-rebound/rebound/pkg/resources/recovery"
)

// DaemonSetRecoveryController deletes this node's DaemonSet pods that a reboot left Failed, so that the DaemonSet
// controller creates their replacements at once instead of after its back-off.
//
// It acts from the moment the kubelet has registered after a boot until nothing is Failed or missing any more. Then it
// closes its watch and sends nothing until the kubelet starts again; only if a DaemonSet did not come back does it watch on.
//
// The zero value is set up for machined, as Controllers is without options.
type DaemonSetRecoveryController struct {
	config *config
	// outcomes are those of deletes that ended too late for the last run to publish them.
	outcomes []recovery.Outcome
}

// Name implements controller.Controller.
func (*DaemonSetRecoveryController) Name() string {
	return "recovery.DaemonSetRecoveryController"
}

// Inputs implements controller.Controller. All are weak. A strong one would allow a finalizer on the kubelet's lifecycle:
// then no delete could race the shutdown, but a request that hangs could hold up a reboot.
func (*DaemonSetRecoveryController) Inputs() []controller.Input {
	return []controller.Input{
		{Namespace: v1alpha1.NamespaceName, Type: v1alpha1.ServiceType, ID: optional.Some(kubeletService), Kind: controller.InputWeak},
		{Namespace: k8s.NamespaceName, Type: k8s.NodenameType, ID: optional.Some(k8s.NodenameID), Kind: controller.InputWeak},
		{Namespace: k8s.NamespaceName, Type: k8s.KubeletLifecycleType, ID: optional.Some(k8s.KubeletLifecycleID), Kind: controller.InputWeak},
		{Namespace: k8s.NamespaceName, Type: k8s.KubeletKubeconfigType, ID: optional.Some(k8s.KubeletKubeconfigID), Kind: controller.InputWeak},
		{Namespace: runtime.NamespaceName, Type: runtime.MachineStatusType, ID: optional.Some(runtime.MachineStatusID), Kind: controller.InputWeak},
	}
}

// Outputs implements controller.Controller.
func (*DaemonSetRecoveryController) Outputs() []controller.Output {
	return []controller.Output{
		{Type: recoveryres.RecoveryStatusType, Kind: controller.OutputExclusive},
		{Type: recoveryres.DaemonSetRecoveryType, Kind: controller.OutputExclusive},
	}
}

// Run implements controller.Controller.
//
// The COSI runtime never starts a controller again that returned nil, or an error that wraps context.Canceled, as that of
// a cancelled request does. So Run returns nil only if ctx is done, and otherwise an error that wraps nothing.
func (ctrl *DaemonSetRecoveryController) Run(ctx context.Context, r controller.Runtime, logger *zap.Logger) error {
	err := ctrl.run(ctx, r, logger)
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the end was asked for
	}

	return errors.New(err.Error())
}

// run reads, plans and applies until ctx is done or the state cannot be read or written.
func (ctrl *DaemonSetRecoveryController) run(ctx context.Context, r controller.Runtime, logger *zap.Logger) error {
	p := pass{config: defaultConfig(), r: r, logger: logger, outcomes: ctrl.outcomes}
	if ctrl.config != nil {
		p.config = *ctrl.config
	}

	defer func() {
		p.endSession()
		ctrl.outcomes = p.outcomes
	}()

	timer := time.NewTimer(0) // the first pass
	defer timer.Stop()

	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-r.EventCh():
		case <-p.changed():
		case <-timer.C:
		}

		lookAgain, err := p.reconcile(ctx)
		if err != nil {
			return err
		}

		timer.Stop()

		if !lookAgain.IsZero() {
			timer.Reset(lookAgain.Sub(p.config.now()))
		}

		r.ResetRestartBackoff()
	}
}

// pass is what the passes of one run share.
type pass struct {
	config  config
	r       controller.Runtime
	logger  *zap.Logger
	session *session
	// outcomes are those of deletes that ended and have yet to be published.
	outcomes []recovery.Outcome
	// told has the UIDs of the pods that a dry run has spoken of.
	told map[string]bool
}

// changed has a value when the API server has told something new. Without a session it is nil, which is never ready.
func (p *pass) changed() <-chan struct{} {
	if p.session == nil {
		return nil
	}

	return p.session.changed
}

// reconcile is one pass. It returns when the next one is due at the latest; zero if only a change can matter.
func (p *pass) reconcile(ctx context.Context) (time.Time, error) {
	facts, key, err := p.read(ctx)
	if err != nil {
		return time.Time{}, err
	}

	decision := recovery.Plan(facts, p.config.now())

	// Publishing comes first, because it counts the deletes ahead of them.
	if err := p.publish(ctx, facts, decision); err != nil {
		return time.Time{}, err
	}

	if facts.Status.Phase != decision.Status.Phase {
		p.logger.Info("recovery of DaemonSet pods",
			zap.Stringer("phase", decision.Status.Phase), zap.String("message", decision.Status.Message))
	}

	p.apply(ctx, key, decision)

	return decision.LookAgain, nil
}

// read collects the facts. If the node's name, the boot or the kubeconfig is another one now, it ends the session, which
// was made for the one before.
func (p *pass) read(ctx context.Context) (recovery.Facts, sessionKey, error) {
	facts := recovery.Facts{Settings: p.config.settings, Boot: p.config.readBoot()}

	var err error

	if facts.Gate, err = readGate(ctx, p.r); err != nil {
		return facts, sessionKey{}, err
	}

	if facts.Status, facts.DaemonSets, err = readPublished(ctx, p.r); err != nil {
		return facts, sessionKey{}, err
	}

	hash, err := readKubeconfigHash(ctx, p.r)
	if err != nil {
		return facts, sessionKey{}, err
	}

	key := sessionKey{node: facts.Gate.NodeName, bootID: facts.Boot.ID, kubeconfigHash: hash}

	if p.session != nil && p.session.key != key {
		p.endSession()
	}

	if p.session != nil {
		var outcomes []recovery.Outcome

		facts.Link, outcomes, facts.InFlight = p.session.take(facts.Boot.Time)
		p.outcomes = append(p.outcomes, outcomes...)
	}

	facts.Outcomes = slices.Clone(p.outcomes)

	return facts, key, nil
}

// apply carries the decision out. Nothing in it waits for the API server, so that a shutdown is noticed at once.
func (p *pass) apply(ctx context.Context, key sessionKey, decision recovery.Decision) {
	switch {
	case !decision.Connect:
		p.endSession()
	case p.session == nil:
		p.session = startSession(ctx, key, p.config, p.logger, p.mayDelete)
	}

	if decision.ReadNode && p.session != nil {
		p.session.readNode()
	}

	for _, verdict := range decision.Verdicts {
		switch {
		case verdict.Action != recovery.ActionDelete || p.session == nil:
		case p.config.dryRun:
			p.wouldDelete(verdict)
		default:
			p.session.delete(verdict)
		}
	}
}

// wouldDelete says once for each pod what a dry run leaves undone.
func (p *pass) wouldDelete(verdict recovery.Verdict) {
	if p.told == nil {
		p.told = map[string]bool{}
	}

	if pod := verdict.Pod; !p.told[pod.UID] {
		p.told[pod.UID] = true
		p.logger.Info("would delete Failed DaemonSet pod",
			zap.String("namespace", pod.Namespace), zap.String("pod", pod.Name),
			zap.String("daemon_set", pod.Owner.Name), zap.String("reason", verdict.Reason))
	}
}

// mayDelete re-checks Talos' part of the gate.
func (p *pass) mayDelete(ctx context.Context) bool {
	gate, err := readGate(ctx, p.r)
	if err != nil {
		return false
	}

	obstacle, _ := recovery.LocalObstacle(p.config.readBoot(), gate)

	return obstacle == recovery.ObstacleNone
}

// endSession ends the session. How its deletes ended is entered in the next pass.
func (p *pass) endSession() {
	if p.session == nil {
		return
	}

	p.outcomes = append(p.outcomes, p.session.stop()...)
	p.session = nil

	if len(p.outcomes) > 0 {
		p.r.QueueReconcile()
	}
}
