use domain::{ChosenPassword, Email, NewPassword};

use crate::{
    Fields,
    fields::{BodyErrors, optional, required},
    object::Object,
};

/// The address and the password of a new account.
pub struct NewAccount;

impl Fields for NewAccount {
    type Values = (Email, NewPassword);

    fn parse(self, object: &mut Object, errors: &mut BodyErrors) -> Option<Self::Values> {
        let fields = (required::<Email>("email"), required::<ChosenPassword>("password"));
        let (email, password) = fields.parse(object, errors)?;
        let password = errors.check("password", password.for_account(&email))?;
        Some((email, password))
    }
}

/// An account's new address and new password, which differ; either may be left out. Whether the password is the address
/// that the account has is checked when it is known: [`ChosenPassword::for_account`].
pub struct AccountChanges;

impl Fields for AccountChanges {
    type Values = (Option<Email>, Option<ChosenPassword>);

    fn parse(self, object: &mut Object, errors: &mut BodyErrors) -> Option<Self::Values> {
        let (email, password) =
            (optional::<Email>("email"), optional::<ChosenPassword>("password")).parse(object, errors)?;
        if let (Some(email), Some(password)) = (&email, &password) {
            errors.check("password", password.check_is_not(email))?;
        }
        Some((email, password))
    }
}
