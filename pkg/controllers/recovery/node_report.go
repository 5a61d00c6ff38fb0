// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery

import (
	"context"
	"errors"
	"time"

	"github.com/cosi-project/runtime/pkg/controller"
	"github.com/siderolabs/gen/optional"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"go.uber.org/zap"

	"github.com/talos-rebound/rebound/internal/kube"
	recoveryres "github.com/talos-rebound/rebound/pkg/resources/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

const (
	// reportInterval is the least time between two reports: what comes and goes within it is not written to the API server.
	reportInterval = time.Second

	// detailInterval and detailLimit bound the same while the phase stays what it is, and only the words change. A recovery is
	// slow when the API server is busy, as it is when many nodes come back at once: to tell of every step then, every second,
	// would keep it so (hack/lab, internal/scale). A new phase does not wait for that, and a recovery that nothing holds up is
	// over before: it takes its settle time of 12 s and the seconds in which pods start.
	detailInterval = 20 * time.Second
	detailLimit    = time.Minute

	// A report that took long is followed by no such words for busyFactor times as long, and for busyPause at the most.
	busyFactor = 100
	busyPause  = 5 * time.Minute
)

// Reporter writes to the Node object what the recovery status says.
type Reporter interface {
	// ReportRecovery writes the report, unless the Node carries it already.
	ReportRecovery(ctx context.Context, node string, report specs.NodeReport, at time.Time) error
}

// NodeReportController tells the Node object about the recovery, for those who cannot read COSI resources: as a condition
// and as an annotation. It writes on changes only, and begins with "unknown" after a boot, because what is there survives
// a reboot.
type NodeReportController struct {
	config *config
}

// Name implements controller.Controller.
func (*NodeReportController) Name() string {
	return "recovery.NodeReportController"
}

// Inputs implements controller.Controller.
func (*NodeReportController) Inputs() []controller.Input {
	return []controller.Input{
		{
			Namespace: recoveryres.NamespaceName, Type: recoveryres.RecoveryStatusType,
			ID: optional.Some(recoveryres.RecoveryStatusID), Kind: controller.InputWeak,
		},
		{Namespace: k8s.NamespaceName, Type: k8s.KubeletKubeconfigType, ID: optional.Some(k8s.KubeletKubeconfigID), Kind: controller.InputWeak},
	}
}

// Outputs implements controller.Controller.
func (*NodeReportController) Outputs() []controller.Output { return nil }

// Run implements controller.Controller.
func (ctrl *NodeReportController) Run(ctx context.Context, r controller.Runtime, logger *zap.Logger) error {
	r2 := &reporting{config: ctrl.config, r: r, logger: logger}

	err := r2.run(ctx)
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the end was asked for
	}

	// Not wrapped: COSI's runtime takes an inner context.Canceled for the end.
	return errors.New(err.Error())
}

// reporting is one run of a NodeReportController.
type reporting struct {
	config *config
	r      controller.Runtime
	logger *zap.Logger

	written specs.NodeReport
	problem string
	// detailDelay is the present time between two reports of one phase, detailsAt when the next of them may be written.
	detailDelay time.Duration
	detailsAt   time.Time
}

func (rep *reporting) run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()

	delay := newDelay()
	notBefore := time.Time{}

	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-rep.r.EventCh():
		case <-timer.C:
		}

		if wait := time.Until(notBefore); wait > 0 {
			timer.Reset(wait)

			continue
		}

		wrote, err := rep.report(ctx)
		if err != nil {
			return err
		}

		switch wait := time.Until(rep.detailsAt); {
		case rep.problem != "":
			notBefore = time.Now().Add(delay.Step())
			timer.Reset(time.Until(notBefore))
		case wrote:
			delay = newDelay()
			notBefore = time.Now().Add(reportInterval)
		case wait > 0:
			// There may be words that have waited; if not, it finds nothing to do.
			timer.Reset(wait)
		}

		rep.r.ResetRestartBackoff()
	}
}

// report writes what there is to say. A request that fails is no error but a problem: it is tried again.
func (rep *reporting) report(ctx context.Context) (wrote bool, err error) {
	status, err := get[*recoveryres.RecoveryStatus](ctx, rep.r, recoveryres.RecoveryStatusID)
	if err != nil || status == nil {
		return false, err
	}

	kubeconfig, err := readKubeconfigHash(ctx, rep.r)
	if err != nil || kubeconfig == "" {
		return false, err
	}

	spec := *status.TypedSpec()
	report := spec.Report(rep.config.host)

	if spec.NodeName == "" || spec.BootID == "" || spec.Phase == specs.PhaseDisabled || report == rep.written {
		rep.problem = ""

		return false, nil
	}

	samePhase := report.BootID == rep.written.BootID && report.Phase == rep.written.Phase
	if samePhase && time.Now().Before(rep.detailsAt) {
		return false, nil
	}

	problem := ""
	began := time.Now()

	if err = rep.send(ctx, spec.NodeName, report); err != nil {
		problem = kube.Describe(err)
	} else {
		rep.written = report
		rep.holdDetails(samePhase, time.Since(began))
	}

	if problem != "" && problem != rep.problem {
		rep.logger.Warn("cannot report on the node", zap.String("node", spec.NodeName), zap.String("problem", problem))
	}

	rep.problem = problem

	return problem == "", nil
}

// holdDetails is called after a report, which took some time: another one about the same phase waits longer than this one did.
func (rep *reporting) holdDetails(samePhase bool, took time.Duration) {
	next := detailInterval
	if samePhase {
		next = 2 * rep.detailDelay
	}

	rep.detailDelay = max(min(next, detailLimit), min(busyFactor*took, busyPause))
	rep.detailsAt = time.Now().Add(rep.detailDelay)
}

// send makes a connection for the one report: they are few, and the certificate may have been rotated since the last.
func (rep *reporting) send(ctx context.Context, node string, report specs.NodeReport) (err error) {
	defer recoverTo(&err, rep.logger)

	connection, err := rep.config.connect(rep.config.kubeconfigPath)
	if err != nil {
		return err
	}

	defer connection.Close()

	return connection.ReportRecovery(ctx, node, report, rep.config.now())
}
