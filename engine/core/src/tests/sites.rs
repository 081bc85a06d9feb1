//! Provider blocks with `for_each`: one configuration for each site.

use super::Bed;

const SITES: &str = r#"
variable "sites" {
  type    = set(string)
  default = ["east", "west"]
}
provider "world" {
  alias    = "site"
  for_each = var.sites
  endpoint = "at-${each.key}"
}
"#;

fn logs(bed: &Bed) -> Vec<String> {
    let others = bed.world.state().others.clone();
    others
        .iter()
        .flat_map(|(n, w)| std::mem::take(&mut w.state().log).into_iter().map(move |l| format!("{n}: {l}")))
        .collect()
}

#[test]
fn each_instance_goes_to_its_own_site() {
    let bed = Bed::new();
    let objects = |name: &str| {
        format!(
            "{SITES}resource \"world_object\" \"o\" {{\n  for_each = var.sites\n  provider = world.site[each.key]\n  name = \"{name}\"\n}}\n"
        )
    };
    bed.applies(&objects("same"));
    assert_eq!(logs(&bed), ["east: create same", "west: create same"]);
    bed.applies(&objects("other"));
    assert_eq!(logs(&bed), ["east: delete same", "east: create other", "west: delete same", "west: create other"]);
    bed.applies(SITES);
    assert_eq!(logs(&bed), ["east: delete other", "west: delete other"]);
}

#[test]
fn a_called_module_gets_the_site_of_its_instance() {
    let mut bed = Bed::new();
    bed.files = [("m/m.mesh.hcl", "resource \"world_object\" \"o\" { name = \"x\" }\n")].into();
    let call = "module \"m\" {\n  for_each  = var.sites\n  source    = \"./m\"\n  providers = { world = world.site[each.key] }\n}\n";
    bed.applies(&format!("{SITES}{call}"));
    assert_eq!(logs(&bed), ["east: create x", "west: create x"]);
    // One site goes: its objects must go first, while there is a configuration for them.
    let one = SITES.replace("\"east\", \"west\"", "\"east\"") + call;
    assert!(bed.plan(&one).is_err_and(|e| e.contains("plan::orphan_provider")));
    let call = call.replace("= var.sites", "= toset([\"east\"])");
    bed.applies(&format!("{SITES}{call}"));
    assert_eq!(logs(&bed), ["west: delete x"]);
}

#[test]
fn an_object_whose_site_changes_is_looked_for_there() {
    let bed = Bed::new();
    let object = |site: &str| {
        format!("{SITES}resource \"world_object\" \"o\" {{\n  provider = world.site[\"{site}\"]\n  name = \"x\"\n}}\n")
    };
    bed.applies(&object("east"));
    logs(&bed);
    assert_eq!(bed.plan(&object("west")), Ok(vec!["+ world_object.o".to_owned(), "! world_object.o".to_owned()]));
    bed.applies(&object("west"));
    assert_eq!(logs(&bed), ["west: create x"]);
}

#[test]
fn a_site_must_be_named_and_known() {
    let bed = Bed::new();
    let with = |provider: &str| {
        let text = format!("{SITES}resource \"world_object\" \"o\" {{\n  {provider}\n  name = \"x\"\n}}\n");
        bed.plan(&text).expect_err("it is refused")
    };
    assert!(with("provider = world.site").contains("say which"));
    assert!(with("provider = world.site[\"north\"]").contains("[\"east\"], [\"west\"]"));
}
