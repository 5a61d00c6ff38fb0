// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package embed_test

import (
	"bytes"
	"go/format"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/internal/embed"
	"github.com/talos-rebound/rebound/pkg/controllers/recovery"
	recoveryres "github.com/talos-rebound/rebound/pkg/resources/recovery"
)

var released = embed.Options{Version: "v0.1.0"}

// with is the tree after a plan.
func with(tree fstest.MapFS, plan *embed.Plan) fstest.MapFS {
	after := maps.Clone(tree)

	for _, change := range plan.Changes {
		if change.New == nil {
			delete(after, change.Path)
		} else {
			after[change.Path] = &fstest.MapFile{Data: change.New, Mode: 0o644}
		}
	}

	return after
}

func contents(tree fstest.MapFS) map[string]string {
	all := map[string]string{}

	for path, file := range tree {
		all[path] = string(file.Data)
	}

	return all
}

func diff(t *testing.T, plan *embed.Plan) string {
	t.Helper()

	var text bytes.Buffer

	require.NoError(t, plan.WriteDiff(&text))

	return text.String()
}

// added are the lines that a plan adds to a file that there is, and nothing is taken away from it.
func added(t *testing.T, plan *embed.Plan, path string) string {
	t.Helper()

	_, hunk, ok := strings.Cut(diff(t, plan), "+++ b/"+path+"\n")
	require.True(t, ok, "%s is not edited", path)

	hunk, _, _ = strings.Cut(hunk, "--- ")

	var text strings.Builder

	for line := range strings.Lines(hunk) {
		require.False(t, strings.HasPrefix(line, "-"), "a line was taken away: %q", line)

		if after, ok := strings.CutPrefix(line, "+"); ok {
			text.WriteString(after)
		}
	}

	return text.String()
}

func TestEmbeddingAddsAFewLines(t *testing.T) {
	t.Parallel()

	plan, err := embed.NewPlan(talos(), released)
	require.NoError(t, err)
	assert.Equal(t, "v1.13.9", plan.Talos)

	for path, want := range map[string]string{
		"go.mod": "\nrequire github.com/talos-rebound/rebound v0.1.0\n",
		controllerPath: `	reboundctrl "github.com/talos-rebound/rebound/pkg/controllers/recovery"
		&reboundctrl.DaemonSetRecoveryController{},
`,
		statePath: `	reboundres "github.com/talos-rebound/rebound/pkg/resources/recovery"
		&reboundres.RecoveryStatus{},
		&reboundres.DaemonSetRecovery{},
`,
		checksPath: "\t\t\tdaemonSetPodsRecovered,\n",
	} {
		assert.Equal(t, want, added(t, plan, path), path)
	}

	after := string(with(talos(), plan)[checksPath].Data)
	assert.Less(t, strings.Index(after, "daemonSetPodsRecovered,"), strings.Index(after, "// wait for the nodes"), "ahead of the checks that stall")
	assert.Contains(t, string(with(talos(), plan)[controllerPath].Data), `		}, // the last one
		&reboundctrl.DaemonSetRecoveryController{},
	} {
`)
	assert.Contains(t, string(with(talos(), plan)[checkPath].Data), "func daemonSetPodsRecovered(cluster ClusterInfo) conditions.Condition {")
	assert.NotContains(t, with(talos(), plan), diagnosticPath)
}

func TestTheDiagnosticIsAddedOnRequest(t *testing.T) {
	t.Parallel()

	plan, err := embed.NewPlan(talos(), embed.Options{Version: "v0.1.0", Diagnostics: true})
	require.NoError(t, err)

	assert.Equal(t, "\t\tdaemonSetRecovery(),\n", added(t, plan, checksList))
	after := string(with(talos(), plan)[diagnosticsPath].Data)
	assert.Contains(t, after, `	reboundres "github.com/talos-rebound/rebound/pkg/resources/recovery"
`)
	assert.Contains(t, after, `			Kind:      controller.InputWeak,
		},
		{
			Namespace: reboundres.NamespaceName,
			Type:      reboundres.RecoveryStatusType,
			Kind:      controller.InputWeak,
		},
	}
`)
	assert.Contains(t, string(with(talos(), plan)[diagnosticPath].Data), `CheckDescription{ID: "daemonset-recovery", Check: daemonSetRecoveryCheck}`)

	// Without the request it is taken out again.
	embedded := with(talos(), plan)
	plan, err = embed.NewPlan(embedded, released)
	require.NoError(t, err)

	plain, err := embed.NewPlan(talos(), released)
	require.NoError(t, err)
	assert.Equal(t, contents(with(talos(), plain)), contents(with(embedded, plan)))
}

func TestAFolderReplacesTheRelease(t *testing.T) {
	t.Parallel()

	plan, err := embed.NewPlan(talos(), embed.Options{Dir: "../re bound"})
	require.NoError(t, err)
	assert.Equal(t, `
require github.com/talos-rebound/rebound v0.0.0-00010101000000-000000000000

replace github.com/talos-rebound/rebound => "../re bound"
`, added(t, plan, "go.mod"))
}

// TestWhatIsEmbeddedIsAllThatThereIs compares with the lists that the library has for those who embed by hand.
func TestWhatIsEmbeddedIsAllThatThereIs(t *testing.T) {
	t.Parallel()

	plan, err := embed.NewPlan(talos(), released)
	require.NoError(t, err)

	var want strings.Builder

	for _, definition := range recoveryres.ResourceDefinitions() {
		name := map[string]string{
			reflect.TypeFor[recoveryres.RecoveryStatus]().String():    "RecoveryStatus",
			reflect.TypeFor[recoveryres.DaemonSetRecovery]().String(): "DaemonSetRecovery",
		}[reflect.TypeOf(definition).Elem().String()]
		want.WriteString("\t\t&reboundres." + name + "{},\n")
	}

	assert.Contains(t, added(t, plan, statePath), want.String())

	controllers, err := recovery.Controllers()
	require.NoError(t, err)
	require.Len(t, controllers, 1)
	assert.Contains(t, added(t, plan, controllerPath), "&reboundctrl."+reflect.TypeOf(controllers[0]).Elem().Name()+"{}")
}

// variants are trees that are odd and legal.
func variants() map[string]fstest.MapFS {
	replaced := func(path, old, replacement string) fstest.MapFS {
		tree := talos()
		text := strings.ReplaceAll(string(tree[path].Data), old, replacement)

		if text == string(tree[path].Data) {
			panic("the variant of " + path + " is no variant")
		}

		tree[path].Data = []byte(text)

		return tree
	}

	renamed := replaced(diagnosticsPath, "controller.In", "ctl.In")
	rewrite(diagnosticsPath, `"github.com/cosi`, `ctl "github.com/cosi`)(renamed)

	return map[string]fstest.MapFS{
		"a package under another name": renamed,
		"as it is":                     talos(),
		"the last element without its own line": replaced(controllerPath, `		}, // the last one
	} {`, `		}} {`),
		"a list on one line": replaced(statePath, `{
		&block.Disk{},
		&v1alpha1.Service{},
	} {`, `{&block.Disk{}, &v1alpha1.Service{}} {`),
		"a list of one, on one line": replaced(statePath, `{
		&block.Disk{},
		&v1alpha1.Service{},
	} {`, `{&block.Disk{}} {`),
		"elements that share a line": replaced(statePath, `
		&block.Disk{},
		&v1alpha1.Service{},`, `&block.Disk{},
		&v1alpha1.Service{}, &v1alpha1.Service{},`),
		"comments around the list": replaced(statePath, `
		&block.Disk{},
		&v1alpha1.Service{},
	} {`, ` // the resources
		// the first
		&block.Disk{}, // a disk
		&v1alpha1.Service{}, /* a service */
		// add more here
	} {`),
		"imports without groups": replaced(controllerPath, `	"time"

	"github.com/cosi-project/runtime/pkg/controller"
	"go.uber.org/zap"

	"github.com`, `	"time"
	"github.com/cosi-project/runtime/pkg/controller"
	"go.uber.org/zap"
	"github.com`),
		"an import with a comment": replaced(controllerPath, `	"go.uber.org/zap"
`, `	// the logger
	"go.uber.org/zap" // of old
`),
		"only the standard library and Talos": replaced(diagnosticsPath, `	"github.com/cosi-project/runtime/pkg/controller"

`, `	"context"

	"github.com/siderolabs/talos/pkg/controller"
`),
		"imports without parentheses": replaced(statePath, `import (
	"context"

	"github.com/cosi-project/runtime/pkg/resource/meta"

	"github.com/siderolabs/talos/pkg/machinery/resources/block"
	"github.com/siderolabs/talos/pkg/machinery/resources/v1alpha1"
)`, `import "context"
import "github.com/cosi-project/runtime/pkg/resource/meta"
import "github.com/siderolabs/talos/pkg/machinery/resources/block"
import "github.com/siderolabs/talos/pkg/machinery/resources/v1alpha1"`),
		"go.mod with blank lines at its end": replaced("go.mod", "// in-tree\n)\n", "// in-tree\n)\n\n\n"),
		"not as gofmt would have it":         replaced(checksPath, "\t\tPreBoot", "  PreBoot"),
		"a release candidate of v1.14":       replaced(tagPath, "v1.13.9", "v1.14.0-rc.1"),
	}
}

func TestEmbeddingIsIdempotentCleanAndReversible(t *testing.T) {
	t.Parallel()

	for name, tree := range variants() {
		for _, options := range []embed.Options{released, {Dir: "../rebound", Diagnostics: true}} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()

				if name == "only the standard library and Talos" {
					options.Diagnostics = false
				}

				plan, err := embed.NewPlan(tree, options)
				require.NoError(t, err)

				embedded := with(tree, plan)

				for path, file := range embedded {
					if !strings.HasSuffix(path, ".go") || tree[path] != nil && !gofmted(tree[path].Data) {
						continue
					}

					assert.True(t, gofmted(file.Data), "%s:\n%s", path, file.Data)
				}

				again, err := embed.NewPlan(embedded, options)
				require.NoError(t, err)
				assert.Empty(t, diff(t, again), "embedding twice is embedding once")

				// What is there already is replaced, whatever it is.
				other, err := embed.NewPlan(embedded, embed.Options{Version: "v0.2.0"})
				require.NoError(t, err)
				assert.Len(t, other.Changes, len(slices.DeleteFunc(slices.Clone(plan.Changes), func(change embed.Change) bool {
					return change.Path != "go.mod" && (!options.Diagnostics || !strings.Contains(change.Path, "diagnostic"))
				})))

				revert, err := embed.NewRevertPlan(with(embedded, other))
				require.NoError(t, err)
				assert.Equal(t, contents(tree), contents(with(with(embedded, other), revert)), "byte for byte")

				nothing, err := embed.NewRevertPlan(tree)
				require.NoError(t, err)
				assert.Empty(t, nothing.Changes)
			})
		}
	}
}

func TestRevertTakesOutTheChecksumsToo(t *testing.T) {
	t.Parallel()

	const before, after = "github.com/cosi-project/runtime v1.14.1 h1:a=\n", "go.uber.org/zap v1.28.0 h1:b=\n"

	tree := talos()
	tree["go.sum"] = &fstest.MapFile{Data: []byte(before + "github.com/talos-rebound/rebound v0.1.0 h1:c=\n" +
		"github.com/talos-rebound/rebound v0.1.0/go.mod h1:d=\n" + after + "github.com/talos-rebound/rebound-extras v0.1.0 h1:e=\n")}

	plan, err := embed.NewRevertPlan(tree)
	require.NoError(t, err)
	assert.Equal(t, before+after+"github.com/talos-rebound/rebound-extras v0.1.0 h1:e=\n", string(with(tree, plan)["go.sum"].Data))
}

func gofmted(text []byte) bool {
	formatted, err := format.Source(text)

	return err == nil && bytes.Equal(text, formatted)
}

// TestEditsKeepToTheWaysOfTheFile looks at the result of some variants, where more than being clean matters.
func TestEditsKeepToTheWaysOfTheFile(t *testing.T) {
	t.Parallel()

	for name, tc := range map[string]struct{ path, has string }{
		"a package under another name": {diagnosticsPath, "\t\t\tKind:      ctl.InputWeak,\n\t\t},\n\t}\n}\n"},
		"an import with a comment": {controllerPath, `	"github.com/cosi-project/runtime/pkg/controller"
	reboundctrl "github.com/talos-rebound/rebound/pkg/controllers/recovery"
	// the logger
	"go.uber.org/zap" // of old
`},
		"a list on one line": {statePath, "{&block.Disk{}, &v1alpha1.Service{}, &reboundres.RecoveryStatus{}, &reboundres.DaemonSetRecovery{}} {"},
		"comments around the list": {statePath, `		&v1alpha1.Service{}, /* a service */
		&reboundres.RecoveryStatus{},
		&reboundres.DaemonSetRecovery{},
		// add more here
`},
		"only the standard library and Talos": {statePath, "meta\"\n\treboundres"},
		"imports without parentheses":         {statePath, "v1alpha1\"\nimport reboundres \"github.com/talos-rebound/rebound/pkg/resources/recovery\"\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			tree := variants()[name]
			plan, err := embed.NewPlan(tree, embed.Options{Version: "v0.1.0", Diagnostics: name != "only the standard library and Talos"})
			require.NoError(t, err)
			assert.Contains(t, string(with(tree, plan)[tc.path].Data), tc.has)
		})
	}
}

func TestTheFirstVersionThatIsSupported(t *testing.T) {
	t.Parallel()

	tree := talos()
	rewrite(tagPath, "v1.13.9", "v1.13.5")(tree)

	_, err := embed.NewPlan(tree, released)
	require.NoError(t, err)
}

func TestWhatIsNotUnderstoodIsRefused(t *testing.T) {
	t.Parallel()

	for _, tc := range []struct {
		name string
		edit func(tree fstest.MapFS)
		says string
	}{
		{"an empty folder", func(tree fstest.MapFS) { clear(tree) }, "this is not a source tree of Talos: it has no go.mod; expected is a checkout of github.com/siderolabs/talos"},
		{"another module", rewrite("go.mod", "siderolabs/talos\n", "siderolabs/omni\n"), `its go.mod is that of "github.com/siderolabs/omni"`},
		{"no version", func(tree fstest.MapFS) { delete(tree, tagPath) }, "the version of Talos is unknown: open " + tagPath},
		{"a strange version", rewrite(tagPath, "v1.13.9", "undefined"), `the version of Talos is unknown: ` + tagPath + ` says "undefined"`},
		{"a version too old", rewrite(tagPath, "v1.13.9", "v1.13.4"), "Talos v1.13.4 is not supported: rebound can be embedded in v1.13.5 and later 1.13 releases, and the v1.14 line"},
		{"a version too new", rewrite(tagPath, "v1.13.9", "v1.15.0-alpha.0"), "Talos v1.15.0-alpha.0 is not supported"},
		{"a missing file", func(tree fstest.MapFS) { delete(tree, statePath) }, statePath + ": this file is missing"},
		{"a file that does not parse", rewrite(controllerPath, "package v1alpha2", "packet v1alpha2"), controllerPath + ": failed to parse it: " + controllerPath + ":1:1"},
		{"go.mod that does not parse", rewrite("go.mod", "require (", "require ("+"\n)("), "go.mod: failed to parse it"},
		{"a list that has gone", rewrite(statePath, "meta.ResourceWithRD{", "meta.Resource{"), statePath + ": function NewState has 0 lists of type []meta.ResourceWithRD where one is expected"},
		{"two lists", rewrite(statePath, "for _, r", "_ = []meta.ResourceWithRD{nil}\n\tfor _, r"), "has 2 lists of type []meta.ResourceWithRD where one is expected"},
		{"an empty list", rewrite(checksList, `{
		{
			ID:         "address-overlap",
			Hysteresis: 30 * time.Second,
			Check:      AddressOverlapCheck,
		},
	}`, "{}"), checksList + ": line 9: the list of type []CheckDescription in function Checks is empty"},
		{"a function that has gone", rewrite(checksPath, "func DefaultClusterChecks", "func AllClusterChecks"), checksPath + ": it has no function DefaultClusterChecks"},
		{"a package that is not imported", rewrite(diagnosticsPath, "cosi-project/runtime/pkg/controller", "cosi-project/other/controller"), diagnosticsPath + `: it does not import "github.com/cosi-project/runtime/pkg/controller"`},
		{"a last line without a line feed", rewrite("go.mod", "// in-tree\n)\n", "// in-tree\n)"), "go.mod: its last line has no line feed"},
		{"lines of another system", func(tree fstest.MapFS) {
			tree[statePath].Data = bytes.ReplaceAll(tree[statePath].Data, []byte("\n"), []byte("\r\n"))
		}, statePath + ": its lines end with CR LF"},
		{
			"rebound embedded by hand", rewrite(controllerPath, "logger := zap.NewNop()", "logger := reboundctrl.Controllers()"),
			controllerPath + ": line 16: rebound embed did not write this about rebound; take it out by hand",
		},
		{
			"rebound imported by hand", rewrite(statePath, `"github.com/cosi-project/runtime/pkg/resource/meta"`, `"github.com/cosi-project/runtime/pkg/resource/meta"`+"\n\t"+`_ "github.com/talos-rebound/rebound/pkg/resources/recovery"`),
			statePath + ": line 7: rebound embed did not write this about rebound; take it out by hand",
		},
		{
			"rebound required in a block", rewrite("go.mod", "// in-tree\n", "// in-tree\n\tgithub.com/talos-rebound/rebound v0.1.0\n"),
			"go.mod: line 10: rebound embed did not write this about rebound; take it out by hand",
		},
		{
			"rebound required with a comment", rewrite("go.mod", "go 1.26.6\n", "go 1.26.6\n\nrequire github.com/talos-rebound/rebound v0.1.0 // ours\n"),
			"go.mod: line 5: rebound embed did not write this about rebound; take it out by hand",
		},
		{"a file of the same name", func(tree fstest.MapFS) { tree[checkPath] = &fstest.MapFile{Data: []byte("package check\n")} }, checkPath + ": there is such a file, and rebound embed did not write it"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			tree := talos()
			tc.edit(tree)

			_, err := embed.NewPlan(tree, embed.Options{Version: "v0.1.0", Diagnostics: true})
			assert.ErrorContains(t, err, tc.says)
		})
	}
}

func TestEverythingThatIsNotUnderstoodIsSaidAtOnce(t *testing.T) {
	t.Parallel()

	tree := talos()
	delete(tree, statePath)
	delete(tree, controllerPath)

	_, err := embed.NewPlan(tree, released)
	require.ErrorContains(t, err, statePath)
	require.ErrorContains(t, err, controllerPath)
}

func TestAWrongVersionIsRefused(t *testing.T) {
	t.Parallel()

	for _, version := range []string{"", "0.1.0", "latest", "v2.0.0", "v0.1", "v0.1.0+incompatible"} {
		_, err := embed.NewPlan(talos(), embed.Options{Version: version})
		require.ErrorContains(t, err, "go.mod: \""+version+"\" is not a version of rebound", version)
	}
}

func rewrite(path, old, replacement string) func(tree fstest.MapFS) {
	return func(tree fstest.MapFS) {
		text := strings.Replace(string(tree[path].Data), old, replacement, 1)
		if text == string(tree[path].Data) {
			panic("nothing was rewritten in " + path)
		}

		tree[path] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
}
