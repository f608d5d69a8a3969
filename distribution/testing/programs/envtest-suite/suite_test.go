// Package suite is what an operator's test suite looks like to a control plane: controller-runtime's envtest starts the
// programs in KUBEBUILDER_ASSETS, a manager with its cache reconciles a kind of its own, and everything stops while
// watches are open.
package suite

import (
	"context"
	"io"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

var boats = schema.GroupVersionKind{Group: "suite.example.com", Version: "v1", Kind: "Boat"}

func boat(name string, oars int64) *unstructured.Unstructured {
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(boats)
	object.SetNamespace("default")
	object.SetName(name)
	_ = unstructured.SetNestedField(object.Object, oars, "spec", "oars")
	return object
}

func definition() *apiextensionsv1.CustomResourceDefinition {
	oars := apiextensionsv1.JSONSchemaProps{Type: "integer", Minimum: new(float64)}
	spec := apiextensionsv1.JSONSchemaProps{Type: "object", Properties: map[string]apiextensionsv1.JSONSchemaProps{"oars": oars}}
	root := apiextensionsv1.JSONSchemaProps{Type: "object", Properties: map[string]apiextensionsv1.JSONSchemaProps{"spec": spec}}
	return &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "boats.suite.example.com"},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: boats.Group,
			Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: "boats", Singular: "boat", Kind: "Boat", ListKind: "BoatList"},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1", Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &root},
			}},
		},
	}
}

type reconciler struct{ client.Client }

// Reconcile keeps a config map beside each boat.
func (r reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	found := boat("", 0)
	if err := r.Get(ctx, request.NamespacedName, found); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	log := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: found.GetName(), Namespace: found.GetNamespace()}}
	if err := ctrl.SetControllerReference(found, log, r.Scheme()); err != nil {
		return ctrl.Result{}, err
	}
	if err := r.Create(ctx, log); err != nil && !apierrors.IsAlreadyExists(err) {
		return ctrl.Result{}, err
	}
	return ctrl.Result{}, nil
}

func TestOperator(t *testing.T) {
	environment := &envtest.Environment{CRDs: []*apiextensionsv1.CustomResourceDefinition{definition()}}
	began := time.Now()
	config, err := environment.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("started in %s", time.Since(began))

	manager, err := ctrl.NewManager(config, ctrl.Options{Metrics: server.Options{BindAddress: "0"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := ctrl.NewControllerManagedBy(manager).Named("boats").For(boat("", 0)).Owns(&corev1.ConfigMap{}).
		Complete(reconciler{manager.GetClient()}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { _ = manager.Start(ctx) }()

	direct, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := direct.Create(ctx, boat("coracle", 1)); err != nil {
		t.Fatal(err)
	}
	if err := direct.Create(ctx, boat("sunk", -1)); !apierrors.IsInvalid(err) {
		t.Fatalf("a negative number of oars: %v", err)
	}
	log := &corev1.ConfigMap{}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if err = direct.Get(ctx, client.ObjectKey{Namespace: "default", Name: "coracle"}, log); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	if owner := metav1.GetControllerOf(log); owner == nil || owner.Kind != "Boat" {
		t.Fatalf("owner: %v", owner)
	}

	user, err := environment.AddUser(envtest.User{Name: "ann", Groups: []string{"rowers"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	kubectl, err := user.Kubectl()
	if err != nil {
		t.Fatal(err)
	}
	out, _, err := kubectl.Run("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}")
	if err != nil {
		t.Fatal(err)
	}
	name, err := io.ReadAll(out)
	if err != nil || string(name) != "ann" {
		t.Fatalf("kubectl says %q: %v", name, err)
	}

	// The manager's watches are open.
	ended := time.Now()
	if err := environment.Stop(); err != nil {
		t.Fatal(err)
	}
	t.Logf("stopped in %s", time.Since(ended))
}
