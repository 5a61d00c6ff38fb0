// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// noBudget says what to do about a RebootBudget that is not there.
const noBudget = `there is no RebootBudget, and without one nothing is rebooted; make one with: ` +
	`echo '{"apiVersion":"` + v1alpha1.GroupName + `/v1alpha1","kind":"RebootBudget","metadata":{"name":"` + v1alpha1.RebootBudgetName + `"}}' | kubectl apply -f -`

// PauseReboots lets no further reboot begin, or lets them begin again. Which of them are under way is printed to out.
// ExitCode tells the exit code of the error.
func PauseReboots(ctx context.Context, access KubeAccess, paused bool, out io.Writer) error {
	client, err := access.open()
	if err != nil {
		return err
	}

	defer client.Close()

	budget, err := client.Pause(ctx, paused)

	switch {
	case err != nil:
		return rebootError(ctx, err)
	case budget == nil:
		return errors.New(noBudget)
	case !paused:
		fmt.Fprintln(out, "resumed: reboots begin again")

		return nil
	}

	fmt.Fprintln(out, "paused: no further reboot begins")

	holders := make([]string, 0, len(budget.Status.Holders))
	for _, holder := range budget.Status.Holders {
		holders = append(holders, fmt.Sprintf("%s (%s)", holder.Node, holder.Step))
	}

	if len(holders) > 0 {
		fmt.Fprintln(out, "those that are granted go on, the others are given back: "+specs.Printable(strings.Join(holders, ", "), cellLength))
	}

	return nil
}
