// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package hollow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	podutil "k8s.io/kubernetes/pkg/api/pod"
	"k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/apis/core/validation"
	kubetypes "k8s.io/kubernetes/pkg/kubelet/types"
)

// sourcesPeriod is how often the sources look; a kubelet does so every 20 seconds.
const sourcesPeriod = 50 * time.Millisecond

// source is where static pods come from: a folder, or a list at a URL. Its id is
// repeated in its updates.
type source struct {
	ID     string `json:"id"`
	Folder string `json:"folder,omitempty"`
	URL    string `json:"url,omitempty"`
}

// update is one thing that the kubelet would act on.
type update struct {
	ID string `json:"id"`
	// Op is "remove" if the pods are gone.
	Op   string      `json:"op,omitempty"`
	Pods []staticPod `json:"pods"`
}

// staticPod is what the kubelet makes of a static pod.
type staticPod struct {
	Pod *corev1.Pod `json:"pod"`
	// Static and NodeCritical are what the kubelet takes it for.
	Static       bool `json:"static"`
	NodeCritical bool `json:"nodeCritical"`
	// Invalid is why the API server would not take its mirror.
	Invalid []string `json:"invalid,omitempty"`
}

// NewStaticPodsCommand returns a command that is the part of a kubelet which
// reads static pods, alone. It reads sources from its standard input, as JSON,
// and writes what a kubelet would act on for each of them to its output, one
// update a line, until its input ends.
func NewStaticPodsCommand() *cobra.Command {
	var node string

	cmd := &cobra.Command{
		Use:           "static-pods",
		Short:         "Say what a kubelet makes of static pods",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return follow(cmd.Context(), types.NodeName(node), cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}

	cmd.Flags().StringVar(&node, "hostname-override", "", "name of the Node")

	return cmd
}

func follow(ctx context.Context, node types.NodeName, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	var (
		writing sync.Mutex
		decoder = json.NewDecoder(in)
		encoder = json.NewEncoder(out)
	)

	for {
		var from source

		if err := decoder.Decode(&from); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("failed to read source: %w", err)
		}

		sources := newSources()

		if from.Folder != "" {
			addFolder(ctx, sources, from.Folder, node, sourcesPeriod)
		}

		if from.URL != "" {
			addList(ctx, sources, from.URL, node, sourcesPeriod)
		}

		go func() {
			for {
				select {
				case <-ctx.Done():
					return
				case change := <-sources.Updates():
					writing.Lock()
					encoder.Encode(newUpdate(from.ID, change)) //nolint:errcheck // whoever has closed the output closes the input too
					writing.Unlock()
				}
			}
		}()
	}
}

func newUpdate(id string, change kubetypes.PodUpdate) update {
	made := update{ID: id, Pods: make([]staticPod, 0, len(change.Pods))}

	if change.Op == kubetypes.REMOVE {
		made.Op = "remove"
	}

	for _, pod := range change.Pods {
		made.Pods = append(made.Pods, staticPod{
			Pod:          pod,
			Static:       kubetypes.IsStaticPod(pod),
			NodeCritical: kubetypes.IsNodeCriticalPod(pod),
			Invalid:      invalid(pod),
		})
	}

	return made
}

// invalid asks the API server's rules: it is they who let the mirror pod in.
func invalid(pod *corev1.Pod) []string {
	mirror := pod.DeepCopy()
	legacyscheme.Scheme.Default(mirror)

	internal := &core.Pod{}
	if err := legacyscheme.Scheme.Convert(mirror, internal, nil); err != nil {
		return []string{err.Error()}
	}

	var reasons []string

	options := podutil.GetValidationOptionsFromPodSpecAndMeta(&internal.Spec, nil, &internal.ObjectMeta, nil)
	for _, err := range validation.ValidatePodCreate(internal, options) {
		reasons = append(reasons, err.Error())
	}

	referenced, what, err := podutil.HasAPIObjectReference(internal)
	if err != nil {
		reasons = append(reasons, err.Error())
	}

	if referenced {
		reasons = append(reasons, "a static pod may not refer to "+what)
	}

	return reasons
}

// observer is for the kubelet's metrics.
type observer struct{}

func (observer) ObservedPodOnWatch(*corev1.Pod, time.Time) {}
