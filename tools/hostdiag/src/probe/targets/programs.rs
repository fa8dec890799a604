//! Functions of programs and libraries.

use std::ffi::CString;
use std::os::unix::ffi::OsStringExt;

use anyhow::Result;
use hostdiag_model::trace::{Function, Mechanism, SkipReason, Skipped};

use super::{Lazy, Request, Targets};
use crate::probe::attach::Place;
use crate::probe::pattern::{self, Names, Pattern};
use crate::probe::plan::{self, Group, UserMulti};
use crate::probe::types::Types;
use crate::probe::{process, user};

impl Targets {
    pub(super) fn add_user(
        &mut self,
        patterns: &[Pattern],
        skip: &[Names],
        (request, types): (&Request, &Lazy<Types>),
    ) -> Result<()> {
        let first = self.targets.len();
        for pattern in patterns {
            let pattern::Place::User { file, names } = &pattern.place else { continue };
            let wanted = user::Wanted {
                file,
                pattern: &pattern.text,
                is_wanted: &|name| names.contain(name),
                pid: request.pid,
            };
            let found = user::find(&wanted)?;
            self.add_file(&found, skip, request.pid)?;
            self.files.push(found);
        }
        let number = self.targets.len() - first;
        if number == 0 {
            return Ok(());
        }
        let multi = if number > 1 { types.user_multi(request.pid.is_some()) } else { UserMulti::Absent };
        if multi == UserMulti::Works {
            self.mass.push(Mechanism::UprobeMulti);
        }
        let ways = plan::user(request.way, number, multi, request.yes)?;
        self.groups.push(Group { functions: (first..self.targets.len()).collect(), ways });
        Ok(())
    }

    fn add_file(&mut self, found: &user::Target, skip: &[Names], pid: Option<u32>) -> Result<()> {
        let module = Some(found.path.display().to_string());
        let path = CString::new(found.attach_path().into_os_string().into_vec())?;
        // Where the kernel would take the number for that of another process, our
        // programs tell them apart alone.
        let pid = pid.filter(|_| process::proc_is_ours());
        let left_out = |name: &str, reason| Skipped { name: name.into(), module: module.clone(), reason };
        for (name, why) in &found.skipped {
            self.skipped.push(left_out(name, SkipReason::Unfit(why.as_str().into())));
        }
        for function in &found.functions {
            let Some(name) = function.names.first() else { continue };
            if skip.iter().any(|names| function.names.iter().any(|name| names.contain(name))) {
                self.skipped.push(left_out(name, SkipReason::Asked));
                continue;
            }
            let place = Place::User { file: path.clone(), offset: function.offset, pid };
            self.add(Function { name: name.clone(), module: module.clone(), address: None }, place);
        }
        Ok(())
    }
}
