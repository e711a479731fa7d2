//! A host with one disk under all of its names, and the files that may name it.

use super::*;
use crate::fake::FakeRoot;

const UUID: &str = "0bc4a55e-9ee4-4f4c-aa5c-6b3c1d1f0a6e";

/// A host with `/dev/vdb`, 253:16, and the links that udev makes for a swap area on it.
fn host() -> FakeRoot {
    let fake = FakeRoot::host();
    fake.write("dev/vdb", "");
    fake.write("sys/class/block/vdb/dev", "253:16\n");
    fake.write(
        "sys/dev/block/253:16/uevent",
        "MAJOR=253\nMINOR=16\nDEVNAME=vdb\nDEVTYPE=disk\nPARTUUID=ab-01\n",
    );
    for (folder, name) in
        [("by-uuid", UUID), ("by-label", "my\\x20swap"), ("by-id", "virtio-7"), ("by-partuuid", "ab-01")]
    {
        std::fs::create_dir_all(fake.path(&format!("dev/disk/{folder}"))).unwrap();
        std::os::unix::fs::symlink("../../vdb", fake.path(&format!("dev/disk/{folder}/{name}"))).unwrap();
    }
    fake
}

fn claimed(fake: &FakeRoot, signs: &[Sign]) -> Option<String> {
    let number = DeviceNumber { major: 253, minor: 16 };
    require_unclaimed(fake.root(), Path::new("/dev/vdb"), Some(Node::Block(number)), signs).err()
}

#[test]
fn a_line_of_fstab_names_a_device_by_each_of_its_names() {
    let fake = host();
    assert_eq!(claimed(&fake, &[]), None);
    let others =
        ["/dev/vda", "UUID=1", "LABEL=my", "PARTUUID=ab-02", "/dev/disk/by-id/virtio-8", "proc", "tmpfs"];
    for device in others {
        fake.write("etc/fstab", &format!("{device} none swap sw 0 0\n"));
        assert_eq!(claimed(&fake, &[]), None, "{device}");
    }
    let upper = format!("UUID={}", UUID.to_uppercase());
    let names = [
        "/dev/vdb",
        &format!("UUID={UUID}"),
        &upper,
        "LABEL=my\\040swap",
        "LABEL=\"my\\040swap\"",
        "PARTUUID=AB-01",
        "/dev/disk/by-id/virtio-7",
    ];
    for device in names {
        fake.write("etc/fstab", &format!("# swap\n{device} none swap sw 0 0\n"));
        // The uppercase name is no link's: the tag itself is compared.
        let uuid = Sign {
            kind: "swap".into(),
            is_table: false,
            at: None,
            length: 0,
            label: None,
            uuid: Some(UUID.into()),
        };
        let why = claimed(&fake, &[uuid]).unwrap_or_else(|| panic!("{device} is not seen"));
        assert!(why.starts_with("is named by /etc/fstab:2 (`"), "{why}");
    }
}

#[test]
fn names_need_no_links_where_udev_noted_them() {
    let fake = host();
    fake.remove("dev/disk");
    fake.write("etc/fstab", "/dev/disk/by-id/virtio-7 none swap sw 0 0\n");
    assert_eq!(claimed(&fake, &[]), None);
    fake.write("run/udev/data/b253:16", "S:disk/by-id/virtio-7\nE:ID_FS_UUID=7\n");
    assert!(claimed(&fake, &[]).is_some());
    fake.write("etc/fstab", "UUID=7 none swap sw 0 0\n");
    assert!(claimed(&fake, &[]).is_some());
}

#[test]
fn units_crypttab_and_what_is_resumed_name_devices_too() {
    let unit = format!("[Swap]\nWhat=/dev/disk/by-uuid/{UUID}\n");
    let cases = [
        ("run/systemd/generator/dev-vdb.swap", unit.as_str(), "/run/systemd/generator/dev-vdb.swap"),
        ("etc/systemd/system/dev-vdb.swap", "[Swap]\nWhat=/dev/vdb\n", "/etc/systemd/system/dev-vdb.swap"),
        ("etc/crypttab", "swap /dev/vdb /dev/urandom swap\n", "/etc/crypttab:1"),
        ("proc/cmdline", "root=/dev/vda resume=/dev/vdb quiet\n", "`resume=` of the kernel's command line"),
        ("etc/initramfs-tools/conf.d/resume", "RESUME=LABEL=my swap\n", "/etc/initramfs-tools/conf.d/resume"),
        ("sys/power/resume", "253:16\n", "/sys/power/resume"),
    ];
    for (file, text, by) in cases {
        let fake = host();
        fake.write(file, text);
        let why = claimed(&fake, &[]).unwrap_or_else(|| panic!("{file} is not seen"));
        assert!(why.starts_with(&format!("is named by {by} (`")), "{why}");
    }
    let fake = host();
    fake.write("sys/power/resume", "0:0\n");
    fake.write("proc/cmdline", "resume=253:17\n");
    assert_eq!(claimed(&fake, &[]), None);
}

#[test]
fn what_is_laid_over_a_unit_names_a_device_too() {
    let swap = "[Swap]\nWhat=/dev/vdb\n";
    let cases = [
        // The unit itself names another.
        "etc/systemd/system/dev-vda.swap.d/other.conf",
        "etc/systemd/system/dev-.swap.d/all.conf",
        "etc/systemd/system/swap.d/50-x.conf",
        "run/systemd/system.control/dev-vda.swap.d/50-What.conf",
        "usr/lib/systemd/system/srv.mount.d/x.conf",
        "run/systemd/transient/dev-vdb.swap",
    ];
    for file in cases {
        let fake = host();
        fake.write("etc/systemd/system/dev-vda.swap", "[Swap]\nWhat=/dev/vda\n");
        assert_eq!(claimed(&fake, &[]), None);
        fake.write(file, swap);
        let why = claimed(&fake, &[]).unwrap_or_else(|| panic!("{file} is not seen"));
        assert!(why.starts_with(&format!("is named by /{file} (`")), "{why}");
    }
    let fake = host();
    // Neither is read by systemd.
    fake.write("etc/systemd/system/dev-vda.swap.d/notes.txt", swap);
    fake.write("etc/systemd/system/cron.service.d/x.conf", swap);
    assert_eq!(claimed(&fake, &[]), None);
    for (file, line) in [("etc/integritytab", "i /dev/vdb\n"), ("etc/veritytab", "v /dev/vda /dev/vdb 00\n")]
    {
        let fake = host();
        fake.write(file, line);
        assert!(claimed(&fake, &[]).unwrap().starts_with(&format!("is named by /{file}:1 (`")));
    }
}

#[test]
fn a_folder_of_units_that_cannot_be_listed_is_no_empty_one() {
    let fake = host();
    fake.write("etc/systemd/system", "no folder");
    assert!(claimed(&fake, &[]).unwrap().starts_with("cannot be told free"));
}

#[test]
fn a_file_is_named_by_its_path_by_a_link_and_before_it_is_there() {
    let fake = FakeRoot::host();
    fake.write("srv/swap", "x");
    std::os::unix::fs::symlink("swap", fake.path("srv/link")).unwrap();
    let file = Node::at(&fake.path("srv/swap"));
    let why = |target, line: &str| {
        fake.write("etc/fstab", line);
        require_unclaimed(fake.root(), Path::new("/srv/swap"), target, &[]).err()
    };
    assert!(why(file, "/srv/link none swap sw 0 0\n").is_some());
    assert!(why(None, "/srv/swap none swap sw 0 0\n").is_some());
    assert_eq!(why(file, "/srv/other none swap sw 0 0\n"), None);
}

#[test]
fn a_file_that_cannot_be_read_is_no_empty_one() {
    let fake = host();
    std::fs::create_dir_all(fake.path("etc/fstab")).unwrap();
    assert!(claimed(&fake, &[]).unwrap().starts_with("cannot be told free"));
    // Nor is what says under which names the disk is known.
    for file in ["run/udev/data/b253:16", "sys/dev/block/253:16/dm/name"] {
        let fake = host();
        std::fs::create_dir_all(fake.path(file)).unwrap();
        assert!(claimed(&fake, &[]).is_some_and(|why| why.starts_with("cannot be told free")), "{file}");
    }
}
