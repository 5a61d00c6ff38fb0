// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package metrics serves what an agent knows to Prometheus.
//
// Nothing is counted here: at every scrape the metrics are made of the resources that the controller publishes, which keep
// their counts for one boot. So a counter begins anew with a boot, as a counter may. Only the time to recovery is collected
// as it happens, since a DaemonSet may recover more than once.
package metrics
