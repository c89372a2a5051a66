use age::x25519::{Identity, Recipient};
use anyhow::{anyhow, ensure};
use tokio::{select, signal::ctrl_c, task::spawn_blocking};

use super::{
    archive,
    contents::{Contents, Tables},
    key,
    place::Place,
    programs::Programs,
    scratch::Scratch,
};
use crate::{
    address::Address,
    database::{CONNECT_TIMEOUT, config, connect},
    stage::Stage,
};

/// A state of the database that `pg_dump` sees as well.
const BEGIN: &str = "
    BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
    SET LOCAL idle_in_transaction_session_timeout = 0";

/// The snapshot, its time, and the server's major version.
const SNAPSHOT: &str = r#"
    SELECT pg_export_snapshot(), to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24-MI-SS"Z"'),
    current_setting('server_version_num')::integer / 10000"#;

/// Backs up the database at `url`: writes the backup, restores it to a database on the server at `scratch`, by default its
/// own, that is dropped again, and keeps it if all tables are the same.
pub(crate) async fn create(url: &str, stage: Option<&Stage>, to: &Place, scratch: Option<&str>) -> anyhow::Result<()> {
    let key = key::public()?;
    let address = Address::parse(url)?.direct()?;
    let server = scratch.map_or_else(|| Ok(address.clone()), |url| Address::parse(url)?.direct())?;
    // Before anything that takes long.
    let scratch = Scratch::create(&server).await?;
    let target = scratch.address();
    let created = select! {
        created = create_checked(&address, stage, to, &target, key) => created,
        _ = ctrl_c() => Err(anyhow!("interrupted")),
    };
    let dropped = scratch.drop().await;
    created.and(dropped)
}

async fn create_checked(
    address: &Address,
    stage: Option<&Stage>,
    to: &Place,
    scratch: &Address,
    key: Recipient,
) -> anyhow::Result<()> {
    let client = connect(&config(address.as_str())?, CONNECT_TIMEOUT).await?;
    client.batch_execute(BEGIN).await.map_err(migrate::database_error)?;
    let row = client.query_typed_one(SNAPSHOT, &[]).await.map_err(migrate::database_error)?;
    let (snapshot, taken_at, server): (String, String, i32) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let programs = Programs::for_version(server.try_into()?).await?;
    let name = stage.map_or_else(|| address.database().to_owned(), ToString::to_string);
    let to = to.with_name(&format!("{name}-{taken_at}.dump.age"));
    let file = to.temporary_file()?;
    let contents = Contents { taken_at, pg_dump: programs.major, tables: Tables::read(&client).await? };

    // A second key can read the backup, too, and is forgotten after the check: which reads what is kept, and needs no
    // secret that outlives it.
    let checks = Identity::generate();
    let (keys, output) = ([key, checks.to_public()], file.reopen()?);
    let (dump, mut dumped) = programs.dump(address, &snapshot)?;
    let contents = spawn_blocking(move || {
        archive::write(output, &keys, &contents, &mut dumped)?;
        anyhow::Ok(contents)
    });
    let contents = contents.await??;
    dump.finish().await?;
    drop(client);

    let (read, dump) = archive::open(file.reopen()?, &checks)?;
    ensure!(read == contents, "the backup is not what was written");
    programs.restore(scratch, dump).await?;
    let restored = connect(&config(scratch.as_str())?, CONNECT_TIMEOUT).await?;
    contents.tables.ensure_equal(&Tables::read(&restored).await?)?;
    let bytes = file.as_file().metadata()?.len();
    to.keep(file, stage).await?;
    println!("{to}: {}, {bytes} bytes, restored to a scratch database and found equal", contents.tables.size());
    Ok(())
}
