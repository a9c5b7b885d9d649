# Intune remediation, remediation script: has the policy delivered again, by Group Policy and by Intune.
# Run it as SYSTEM. It changes no file: what others could have written is for a person to look at.
& "$env:SystemRoot\System32\gpupdate.exe" /target:computer /wait:0 | Out-Null
Get-ScheduledTask -TaskPath '\Microsoft\Windows\EnterpriseMgmt\*' -TaskName 'PushLaunch' -ErrorAction SilentlyContinue |
    Start-ScheduledTask
Write-Output 'Group Policy and Intune were asked to deliver the policy again.'
exit 0
