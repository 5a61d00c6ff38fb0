// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package coordinator

import (
	"context"
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
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/apply"
	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/read"
	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/store"
	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

const (
	// UserAgent is how the requests can be told in an audit log.
	UserAgent = "rebound-coordinator"
	// leaseName is the name of the Lease.
	leaseName = "rebound-coordinator"
	// checkTimeout bounds the first request.
	checkTimeout = 30 * time.Second
)

// Run runs a coordinator until ctx is done, which is no error. Missing CRDs, an address that cannot be listened on and a
// lost leadership are errors: the process is to end then, and to be started again.
func Run(ctx context.Context, config Config) error {
	if err := config.validate(); err != nil {
		return err
	}

	ctrllog.SetLogger(zapr.NewLogger(config.Logger))
	klog.SetLogger(zapr.NewLogger(config.Logger.Named("client")))

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

	manager, err := ctrl.NewManager(restConfig, ctrl.Options{
		Scheme:                        scheme,
		Logger:                        zapr.NewLogger(config.Logger),
		Cache:                         cacheOptions(),
		LeaderElection:                config.LeaderElection,
		LeaderElectionID:              leaseName,
		LeaderElectionNamespace:       config.LeaseNamespace,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 &config.LeaseDuration,
		RenewDeadline:                 &config.RenewDeadline,
		RetryPeriod:                   &config.RetryPeriod,
		HealthProbeBindAddress:        config.Health,
		Metrics:                       server.Options{BindAddress: config.Metrics},
		// Tests run several in one process.
		Controller: ctrlconfig.Controller{SkipNameValidation: new(true)},
	})
	if err != nil {
		return fmt.Errorf("failed to set up the coordinator: %w", err)
	}

	if err = config.add(ctx, manager); err != nil {
		return err
	}

	return manager.Start(ctx)
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
	if err == nil {
		err = live.List(ctx, &v1alpha1.RebootBudgetList{}, client.Limit(1))
	}

	if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
		return fmt.Errorf("the CRDs of %s are not installed: apply deploy/base/crds first (%w)", v1alpha1.GroupName, err)
	}

	if err != nil {
		return fmt.Errorf("failed to reach the API server %s: %w", config.Host, err)
	}

	return nil
}

// cacheOptions keeps the caches small: of a pod only what is looked at, and of everything else not who has set which field.
func cacheOptions() cache.Options {
	return cache.Options{
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject:         map[client.Object]cache.ByObject{&corev1.Pod{}: {Transform: read.TrimPod}},
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

	if err := manager.AddReadyzCheck("caches", func(request *http.Request) error {
		ctx, cancel := context.WithTimeout(request.Context(), time.Second)
		defer cancel()

		if !manager.GetCache().WaitForCacheSync(ctx) {
			return fmt.Errorf("the caches are not filled yet")
		}

		return nil
	}); err != nil {
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

// watched are the kinds of objects whose changes lead to a new decision.
var watched = []client.Object{
	&v1alpha1.RebootBudget{}, &v1alpha1.RebootPolicy{}, &v1alpha1.NodeReboot{}, &policyv1.PodDisruptionBudget{},
}
