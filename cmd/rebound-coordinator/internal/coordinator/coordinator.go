// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package coordinator

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-logr/zapr"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/apply"
	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/read"
	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/store"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

const (
	// UserAgent is how the requests can be told in an audit log.
	UserAgent = "rebound-coordinator"
	// checkTimeout bounds the first requests.
	checkTimeout = 30 * time.Second
	// readyTimeout bounds the answer to whether it is ready. A kubelet waits for 1 s unless it is told otherwise.
	readyTimeout = 900 * time.Millisecond
)

// Run runs a coordinator until ctx is done, which is no error. Missing CRDs, an address that cannot be listened on and a
// lost leadership are errors: the process is to end then, and to be started again.
func Run(ctx context.Context, config Config) error {
	if err := config.validate(); err != nil {
		return err
	}

	scheme, err := newScheme()
	if err != nil {
		return err
	}

	restConfig := rest.CopyConfig(config.Client)
	restConfig.UserAgent = UserAgent
	// Workers are counted; what they send is for the API server to share out.
	restConfig.QPS = -1

	if err = checkObjects(ctx, restConfig, scheme); err != nil {
		return err
	}

	manager, err := config.newManager(restConfig, scheme)
	if err != nil {
		return err
	}

	if err = config.add(ctx, manager); err != nil {
		return err
	}

	return manager.Start(ctx)
}

func (c *Config) newManager(restConfig *rest.Config, scheme *runtime.Scheme) (ctrl.Manager, error) {
	options := ctrl.Options{
		Scheme:                 scheme,
		Logger:                 zapr.NewLogger(c.Logger),
		Cache:                  cacheOptions(),
		HealthProbeBindAddress: c.Health,
		Metrics:                server.Options{BindAddress: c.Metrics},
		// Tests run several in one process.
		Controller: ctrlconfig.Controller{SkipNameValidation: new(true)},
	}

	var lock *lease

	if c.LeaderElection {
		var err error

		if lock, err = c.newLease(restConfig); err != nil {
			return nil, err
		}

		options.LeaderElection, options.LeaderElectionReleaseOnCancel = true, true
		options.LeaderElectionResourceLockInterface = lock
		options.LeaseDuration, options.RenewDeadline, options.RetryPeriod = &c.LeaseDuration, &c.RenewDeadline, &c.RetryPeriod
	}

	manager, err := ctrl.NewManager(restConfig, options)
	if err != nil {
		return nil, fmt.Errorf("failed to set up the coordinator: %w", err)
	}

	if lock != nil {
		// The election tells of itself with events of the old kind.
		lock.LockConfig.EventRecorder = manager.GetEventRecorderFor(UserAgent) //nolint:staticcheck // see above
	}

	return manager, nil
}

func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()

	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("failed to register types: %w", err)
		}
	}

	return scheme, nil
}

// checkObjects finds CRDs that are not installed, for which the caches would wait in vain.
func checkObjects(ctx context.Context, config *rest.Config, scheme *runtime.Scheme) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()

	live, err := client.New(config, client.Options{Scheme: scheme})

	for _, list := range []client.ObjectList{&v1alpha1.RebootBudgetList{}, &v1alpha1.RebootPolicyList{}, &v1alpha1.NodeRebootList{}} {
		if err == nil {
			err = live.List(ctx, list, client.Limit(1))
		}
	}

	if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
		return fmt.Errorf("the CRDs of %s are not installed: apply deploy/base/crds first (%w)", v1alpha1.GroupName, err)
	}

	if err != nil {
		return fmt.Errorf("the API server %s cannot be used: %w", config.Host, err)
	}

	return nil
}

// cacheOptions keeps the caches small: of a pod only what is looked at, of a node all but its images and volumes, and of
// everything else not who has set which field.
func cacheOptions() cache.Options {
	return cache.Options{
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Pod{}: {Transform: read.TrimPod}, &corev1.Node{}: {Transform: read.TrimNode},
		},
	}
}

// add puts everything that runs into the manager.
func (c *Config) add(ctx context.Context, manager ctrl.Manager) error {
	if err := manager.GetFieldIndexer().IndexField(ctx, &corev1.Pod{}, read.NodeNameField, read.IndexPod); err != nil {
		return fmt.Errorf("failed to index pods: %w", err)
	}

	if err := manager.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return fmt.Errorf("failed to add health check: %w", err)
	}

	if err := manager.AddReadyzCheck("caches", cachesFilled(manager.GetCache())); err != nil {
		return fmt.Errorf("failed to add ready check: %w", err)
	}

	objects := store.New(manager.GetClient(), manager.GetAPIReader())
	told := &teller{recorder: manager.GetEventRecorder(UserAgent), metrics: newMetrics(), logger: c.Logger}
	news := newNews()

	evictions, err := client.New(apply.WithoutRetries(manager.GetConfig()), client.Options{
		Scheme: manager.GetScheme(), Mapper: manager.GetRESTMapper(),
	})
	if err != nil {
		return fmt.Errorf("failed to make a client: %w", err)
	}

	evictor := apply.NewEvictor(evictions, c.Evictions, news.tell, c.Logger.Named("evict"))

	r := &reconciler{
		store:   objects,
		evictor: evictor,
		applier: &apply.Applier{Store: objects, Evictor: evictor, Told: told.tell, Logger: c.Logger},
		teller:  told,
	}

	r.reader = &read.Reader{Client: manager.GetClient(), Objects: objects, Watching: r.setBusy}

	runnables := []interface{ Start(context.Context) error }{evictor}

	if c.Talos != nil {
		r.talos = apply.NewTalos(c.Talos, news.tell, c.Logger.Named("talos"))
		r.applier.Talos = r.talos
		runnables = append(runnables, r.talos)
	}

	for _, runnable := range runnables {
		if err := manager.Add(runnable); err != nil {
			return fmt.Errorf("failed to add a worker: %w", err)
		}
	}

	return r.watch(manager, news)
}

// cachesFilled checks that those caches are filled that there are. Of one that does not lead that is the one of the pods.
func cachesFilled(caches cache.Cache) healthz.Checker {
	return func(request *http.Request) error {
		ctx, cancel := context.WithTimeout(request.Context(), readyTimeout)
		defer cancel()

		if !caches.WaitForCacheSync(ctx) {
			return errors.New("the caches are not filled yet")
		}

		return nil
	}
}

// watched are the kinds of objects whose changes lead to a new decision.
var watched = []client.Object{
	&v1alpha1.RebootBudget{}, &v1alpha1.RebootPolicy{}, &v1alpha1.NodeReboot{}, &policyv1.PodDisruptionBudget{},
}
